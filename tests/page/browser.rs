//! A real browser without a window, driven over WebDriver: Debian's `chromium` and `chromium-driver`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::daemon::PATIENCE;
use crate::harness::mounts::skip;

/// One window. Whatever the browser complained about meanwhile fails the test that ends it.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    driver_url: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens one; `None`, with a word, where there is none.
    ///
    /// # Panics
    /// There is none, and `TABLETD_REQUIRE_ROOT_TESTS=1` says that nothing is skipped.
    pub(crate) fn open(arguments: &[&str]) -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = started else {
            skip("there is no chromedriver (Debian: chromium chromium-driver)");
            return None;
        };
        let said = BufReader::new(driver.stdout.take().expect("piped"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let port = line.split("started successfully on port ").nth(1)?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let driver_url = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let profile = tempfile::tempdir().expect("a directory");
        let own = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let arguments: Vec<_> = own.into_iter().chain(arguments.iter().map(|&one| one.to_owned())).collect();
        let wishes = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(wishes) = wishes else { unreachable!("an object was written") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = runtime.block_on(async {
            ClientBuilder::new(hyper_util_connector()).capabilities(wishes).connect(&driver_url).await
        });
        let client = client.expect("a browser");
        Some(Self { runtime, client, driver, driver_url, _profile: profile })
    }

    pub(crate) fn go(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).expect("a page");
    }

    /// Where the browser is.
    pub(crate) fn place(&self) -> String {
        self.runtime.block_on(self.client.current_url()).expect("an address").path().to_owned()
    }

    /// Clicks what this XPath finds, once it is there.
    pub(crate) fn click(&self, xpath: &str) {
        let click = || {
            self.runtime
                .block_on(async { self.client.find(Locator::XPath(xpath)).await.ok()?.click().await.ok() })
        };
        self.until(&format!("{xpath} can be clicked"), || click().is_some());
    }

    /// Presses the button of this name.
    pub(crate) fn press(&self, name: &str) {
        self.click(&format!("//button[normalize-space()='{name}' and not(@disabled)]"));
    }

    /// Unfolds what asks first.
    pub(crate) fn unfold(&self, name: &str) {
        self.click(&format!("//summary[normalize-space()='{name}…']"));
    }

    pub(crate) fn type_in(&self, css: &str, text: &str) {
        self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(css)).await.expect("a field");
            field.send_keys(text).await.expect("typed");
        });
    }

    /// Chooses this value of a list.
    pub(crate) fn choose(&self, css: &str, value: &str) {
        self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(css)).await.expect("a list");
            field.select_by_value(value).await.expect("a value of the list");
        });
    }

    /// From here on no page runs its script.
    pub(crate) fn without_script(&self) {
        self.tell("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// A command of Chromium's own protocol.
    pub(crate) fn tell(&self, command: &str, parameters: &Value) {
        let session = self.runtime.block_on(self.client.session_id()).expect("a session").expect("an id");
        let url = format!("{}/session/{session}/goog/cdp/execute", self.driver_url);
        ureq::post(url)
            .send_json(json!({ "cmd": command, "params": parameters }))
            .expect("a command it knows");
    }

    /// Presses keys, wherever the focus is.
    pub(crate) fn type_keys(&self, keys: &str) {
        self.runtime.block_on(async {
            let at = self.client.active_element().await.expect("somewhere");
            at.send_keys(keys).await.expect("pressed");
        });
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) fn script(&self, text: &str) -> Value {
        self.runtime.block_on(self.client.execute(text, Vec::new())).expect("a script that runs")
    }

    pub(crate) fn text(&self) -> String {
        self.script("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says so.
    pub(crate) fn sees(&self, text: &str) {
        self.until(&format!("the page says {text:?}"), || self.text().contains(text));
    }

    pub(crate) fn until(&self, what: &str, so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < deadline, "never: {what}; at {}:\n{}", self.place(), self.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        self.runtime.block_on(self.client.set_window_size(width, height)).expect("a window");
    }

    pub(crate) fn picture(&self) -> Vec<u8> {
        self.runtime.block_on(self.client.screenshot()).expect("a picture")
    }

    /// What the browser complained about since it was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let session = self.runtime.block_on(self.client.session_id()).expect("a session").expect("an id");
        let url = format!("{}/session/{session}/se/log", self.driver_url);
        let mut answer = ureq::post(url).send_json(json!({ "type": "browser" })).expect("a log");
        let log: Value = answer.body_mut().read_json().expect("JSON");
        let lines = log["value"].as_array().cloned().unwrap_or_default();
        let grave = lines.iter().filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING");
        grave.map(|line| line["message"].to_string()).collect()
    }

    /// Closes the window; the page must have been without fault.
    pub(crate) fn close(self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Plain HTTP: the driver is on loopback.
fn hyper_util_connector() -> hyper_util::client::legacy::connect::HttpConnector {
    hyper_util::client::legacy::connect::HttpConnector::new()
}
