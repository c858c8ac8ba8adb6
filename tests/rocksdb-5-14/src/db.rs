//! The true RocksDB 5.14.2, opened as a Doris backend opens it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::ptr::null_mut;

use librocksdb_sys as sys;

pub type Content = BTreeMap<Vec<u8>, Vec<u8>>;

/// Nothing of it is closed in order: a backend is killed.
pub struct Database {
    db: *mut sys::rocksdb_t,
    meta: *mut sys::rocksdb_column_family_handle_t,
}

const FAMILIES: [&CStr; 3] = [c"default", c"doris", c"meta"];

fn check(error: *mut c_char) -> Result<(), String> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: RocksDB gives a text that ends in a zero.
    Err(unsafe { CStr::from_ptr(error) }
        .to_string_lossy()
        .into_owned())
}

impl Database {
    /// Opens the database below `meta` for writing: its logs are flushed into tables, a new MANIFEST is begun.
    pub fn open(meta: &Path, write_buffer_bytes: usize) -> Result<Self, String> {
        let path = CString::new(meta.to_str().expect("text")).expect("no zero");
        let mut handles = [null_mut(); 3];
        let mut error = null_mut();
        // SAFETY: all pointers live until the call has returned; RocksDB copies the options.
        let db = unsafe {
            let plain = sys::rocksdb_options_create();
            let of_meta = sys::rocksdb_options_create();
            let by_prefix = sys::rocksdb_slicetransform_create_fixed_prefix(4);
            sys::rocksdb_options_set_prefix_extractor(of_meta, by_prefix);
            for options in [plain, of_meta] {
                sys::rocksdb_options_set_write_buffer_size(options, write_buffer_bytes);
                sys::rocksdb_options_set_max_write_buffer_number(options, 5);
            }
            sys::rocksdb_options_set_create_if_missing(plain, 1);
            sys::rocksdb_options_set_create_missing_column_families(plain, 1);
            let mut names = FAMILIES.map(CStr::as_ptr);
            let mut options = [plain.cast_const(), plain.cast_const(), of_meta.cast_const()];
            sys::rocksdb_open_column_families(
                plain,
                path.as_ptr(),
                3,
                names.as_mut_ptr(),
                options.as_mut_ptr(),
                handles.as_mut_ptr(),
                &raw mut error,
            )
        };
        check(error)?;
        Ok(Self {
            db,
            meta: handles[2],
        })
    }

    /// Every key and value of the family `meta`.
    pub fn content(&self) -> Result<Content, String> {
        let mut content = Content::new();
        let mut error = null_mut();
        // SAFETY: key and value are valid until the iterator moves; they are copied before.
        unsafe {
            let options = sys::rocksdb_readoptions_create();
            let iterator = sys::rocksdb_create_iterator_cf(self.db, options, self.meta);
            sys::rocksdb_iter_seek_to_first(iterator);
            while sys::rocksdb_iter_valid(iterator) != 0 {
                let (mut key_length, mut value_length) = (0, 0);
                let key = sys::rocksdb_iter_key(iterator, &raw mut key_length);
                let value = sys::rocksdb_iter_value(iterator, &raw mut value_length);
                let bytes = |at: *const c_char, length| {
                    std::slice::from_raw_parts(at.cast::<u8>(), length).to_vec()
                };
                content.insert(bytes(key, key_length), bytes(value, value_length));
                sys::rocksdb_iter_next(iterator);
            }
            sys::rocksdb_iter_get_error(iterator, &raw mut error);
            sys::rocksdb_iter_destroy(iterator);
            sys::rocksdb_readoptions_destroy(options);
        }
        check(error).map(|()| content)
    }

    /// Writes one batch as a backend does: into the log, not synced.
    pub fn write(&self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), String> {
        let mut error = null_mut();
        // SAFETY: RocksDB copies keys and values into the batch.
        unsafe {
            let batch = sys::rocksdb_writebatch_create();
            for (key, value) in changes {
                let (at, length) = (key.as_ptr().cast(), key.len());
                match value {
                    Some(value) => sys::rocksdb_writebatch_put_cf(
                        batch,
                        self.meta,
                        at,
                        length,
                        value.as_ptr().cast(),
                        value.len(),
                    ),
                    None => sys::rocksdb_writebatch_delete_cf(batch, self.meta, at, length),
                }
            }
            let options = sys::rocksdb_writeoptions_create();
            sys::rocksdb_write(self.db, options, batch, &raw mut error);
            sys::rocksdb_writeoptions_destroy(options);
            sys::rocksdb_writebatch_destroy(batch);
        }
        check(error)
    }

    /// Everything into tables of the lowest level.
    pub fn compact(&self) {
        // SAFETY: no bounds mean all keys.
        unsafe {
            sys::rocksdb_compact_range_cf(
                self.db,
                self.meta,
                std::ptr::null(),
                0,
                std::ptr::null(),
                0,
            );
        }
    }
}
