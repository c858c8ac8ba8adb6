//! Reads be.conf and be_custom.conf. The only room here that reads files; what they say is `interpret`'s business.

use std::io;
use std::path::Path;

use super::grammar::Sheet;
use super::interpret::{CUSTOM_FILE_NAME, Loaded, Surroundings, custom_config_dir, interpret};
use super::keys::Config;
use super::problem::{ConfigErrors, FileLine, Problem};

impl Config {
    /// As [`Self::load`], for a node that runs: paths of `storage_root_path` are taken as they are written, so that no
    /// disk is waited for.
    ///
    /// # Errors
    /// As there.
    pub fn load_again(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigErrors> {
        read(path, env, &|path| Some(path.to_owned()))
    }

    /// Reads the file at `path`, then be_custom.conf if there is one. Resolves the paths of `storage_root_path`, so a
    /// disk that hangs can hold this up; opens and writes nothing.
    ///
    /// # Errors
    /// Every problem of both files, with file and line.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigErrors> {
        read(path, env, &canonical)
    }
}

fn read(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    canonical: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, ConfigErrors> {
    let be_conf = read_sheet(path).map_err(|error| unreadable(path, &error))?;
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    let conf_dir = absolute.parent().unwrap_or(Path::new("/"));
    let around = Surroundings { env, canonical, conf_dir };

    let custom_file = custom_config_dir(&be_conf, &around).map(|dir| dir.join(CUSTOM_FILE_NAME));
    let mut sheets = vec![be_conf];
    let mut trouble = None;
    if let Some(file) = custom_file {
        match read_sheet(&file) {
            Ok(sheet) => sheets.push(sheet),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => trouble = Some(unreadable(&file, &error)),
        }
    }
    match (interpret(&sheets, &around), trouble) {
        (loaded, None) => loaded,
        (Ok(_), Some(trouble)) => Err(trouble),
        (Err(mut errors), Some(trouble)) => {
            errors.problems.extend(trouble.problems);
            Err(errors)
        }
    }
}

fn read_sheet(path: &Path) -> io::Result<Sheet> {
    // A pipe whose other end nobody opens would hold up the start for ever.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let bytes = std::fs::read(path)?;
    // Old comments may be in any encoding; a value that is no UTF-8 is found out when its key is read.
    Ok(Sheet::parse(&path.display().to_string(), &String::from_utf8_lossy(&bytes)))
}

fn canonical(path: &str) -> Option<String> {
    std::fs::canonicalize(path).ok()?.into_os_string().into_string().ok()
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigErrors {
    ConfigErrors {
        problems: vec![Problem {
            place: FileLine { file: path.display().to_string(), line: None },
            subject: "the file".to_owned(),
            what: format!("cannot be read: {error}"),
            help: "name a readable be.conf, or mend its permissions".to_owned(),
        }],
        ignored: Vec::new(),
    }
}
