//! A real browser, driven over the WebDriver protocol (W3C WebDriver 2): Debian's chromium, by its chromedriver. The few
//! commands a test needs are plain HTTP with JSON to a port of this machine.

use crate::patience::until;
use crate::ports::Port;
use crate::process::{Running, is_installed};
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const DRIVER: &str = "chromedriver";
const BROWSER: &str = "chromium";
/// The key under which an element's id travels.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// For one command, the browser's start included.
const LONGEST: Duration = Duration::from_mins(1);

/// A browser with one window, as a tablet of this size shows it. Ends when dropped.
#[derive(Debug)]
pub struct Browser {
    port: Port,
    session: String,
    /// Presses so far.
    pub clicks: usize,
    runs_scripts: bool,
    _driver: Running,
    _profile: tempfile::TempDir,
}

/// Why there is no browser here, if there is none.
pub fn missing() -> Option<String> {
    let missing = [DRIVER, BROWSER].into_iter().find(|p| !is_installed(p))?;
    Some(format!(
        "there is no `{missing}`; install the packages chromium and chromium-driver"
    ))
}

/// Where `tests/run` puts axe-core.
fn judge_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/axe.min.js")
}

/// Why pages are not judged by axe-core, if they are not.
pub fn missing_judge() -> Option<String> {
    let is_here = judge_path().is_file();
    (!is_here).then(|| "axe-core is not here; `tests/run` fetches it".to_owned())
}

/// Waited for by the driver.
const JUDGE: &str = "return axe.run(document, {
    resultTypes: ['violations'],
    runOnly: { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] },
}).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' | ')}`))";

impl Browser {
    /// `width` and `height` in CSS pixels.
    pub fn open(width: u32, height: u32) -> Result<Self> {
        let screen = json!({ "width": width, "height": height, "pixelRatio": 1.0, "touch": true });
        Self::start(&json!({ "mobileEmulation": { "deviceMetrics": screen } }))
    }

    /// Likewise, and no page's scripts run in it. A window instead of a tablet's screen: presses on an emulated one
    /// wait for a script.
    pub fn open_without_scripts(width: u32, height: u32) -> Result<Self> {
        const BLOCK: u8 = 2;
        let mut browser = Self::start(&json!({
            "args": [format!("--window-size={width},{height}")],
            "prefs": { "profile.managed_default_content_settings.javascript": BLOCK },
        }))?;
        browser.runs_scripts = false;
        Ok(browser)
    }

    /// `options`: what sets this browser apart.
    fn start(options: &Value) -> Result<Self> {
        let profile = tempfile::Builder::new()
            .prefix("nestwarden-browser-")
            .tempdir()?;
        let port = Port::claim()?;
        let address = port.address();
        let mut command = Command::new(DRIVER);
        command
            .arg(format!("--port={}", address.port()))
            .env("HOME", profile.path());
        let log = profile.path().join("driver.log");
        let mut driver = Running::start(command, DRIVER, log)?;
        until("the browser's driver", || {
            driver.check()?;
            Ok(TcpStream::connect(address).ok())
        })?;
        let user_data = format!("--user-data-dir={}", profile.path().join("data").display());
        let mut options = options.clone();
        let mut arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--no-proxy-server",
            user_data,
        ]);
        if let (Some(all), Some(own)) = (arguments.as_array_mut(), options["args"].as_array()) {
            all.extend(own.iter().cloned());
        }
        options["args"] = arguments;
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            // The console's certificate is one that no browser knows.
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
        }}});
        let begun = call(address, "POST", "/session", &wanted)?;
        let session = begun["sessionId"].as_str().context("no session")?;
        Ok(Self {
            session: session.to_owned(),
            port,
            clicks: 0,
            runs_scripts: true,
            _driver: driver,
            _profile: profile,
        })
    }

    pub fn go(&self, address: &str) -> Result<()> {
        self.command("url", &json!({ "url": address })).map(drop)
    }

    /// Presses the first element a CSS selector finds, once there is one. A person who watches would count one press.
    pub fn click(&mut self, selector: &str) -> Result<()> {
        until(&format!("`{selector}` on the page"), || {
            let Some(element) = self.find(selector)? else {
                return Ok(None);
            };
            // An element that was replaced meanwhile is looked for again.
            let pressed = self.command(&format!("element/{element}/click"), &json!({}));
            pressed.map(Some)
        })?;
        self.clicks += 1;
        Ok(())
    }

    /// Types into the first field a CSS selector finds, in place of what was there.
    pub fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = until(&format!("`{selector}` on the page"), || self.find(selector))?;
        self.command(&format!("element/{element}/clear"), &json!({}))?;
        self.write(selector, text)
    }

    /// Types into the first element a CSS selector finds, after what is in it.
    pub fn write(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.find(selector)?.context("no such field")?;
        let typed = json!({ "text": text });
        self.command(&format!("element/{element}/value"), &typed)
            .map(drop)
    }

    fn find(&self, selector: &str) -> Result<Option<String>> {
        let asked = json!({ "using": "css selector", "value": selector });
        let found = self.command("elements", &asked)?;
        Ok(found[0][ELEMENT].as_str().map(str::to_owned))
    }

    /// Waits until the page says this, and gives everything it says.
    pub fn until_says(&self, words: &str) -> Result<String> {
        let mut seen = String::new();
        let said = until(&format!("a page that says `{words}`"), || {
            seen = self.text()?;
            Ok(seen.contains(words).then(|| seen.clone()))
        });
        said.with_context(|| format!("it says: {seen}"))
    }

    pub fn text(&self) -> Result<String> {
        let text = self.run("return document.body.innerText")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Runs a function body in the page, also where the page's own scripts do not run.
    pub fn run(&self, script: &str) -> Result<Value> {
        self.command("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What axe-core finds against WCAG 2.2 AA that is serious or worse, a line for each rule; `None`: it is not here, see
    /// [`missing_judge`], or this browser runs no scripts, without which it never ends.
    pub fn faults(&self) -> Result<Option<Vec<String>>> {
        if !self.runs_scripts {
            return Ok(None);
        }
        let Ok(judge) = std::fs::read_to_string(judge_path()) else {
            return Ok(None);
        };
        let found = self.run(&format!("{judge};\n{JUDGE}"))?;
        Ok(Some(serde_json::from_value(found)?))
    }

    /// Plugs in an authenticator that keeps keys and knows its person; each of its answers is given at once.
    pub fn plug_in_authenticator(&self) -> Result<()> {
        let kind = json!({
            "protocol": "ctap2",
            "transport": "usb",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": true,
        });
        self.command("webauthn/authenticator", &kind).map(drop)
    }

    /// What the person sees, as a PNG.
    pub fn picture(&self, path: &Path) -> Result<()> {
        let path_of = format!("/session/{}/screenshot", self.session);
        let taken = call(self.port.address(), "GET", &path_of, &Value::Null)?;
        let taken = taken.as_str().context("no picture")?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(taken)?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        Ok(std::fs::write(path, bytes)?)
    }

    fn command(&self, what: &str, body: &Value) -> Result<Value> {
        let path = format!("/session/{}/{what}", self.session);
        call(self.port.address(), "POST", &path, body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver goes after it.
        let path = format!("/session/{}", self.session);
        let _ = call(self.port.address(), "DELETE", &path, &Value::Null);
    }
}

fn call(address: SocketAddr, method: &str, path: &str, body: &Value) -> Result<Value> {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LONGEST))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let came = read_answer(&mut BufReader::new(stream))?;
    let mut answer: Value = serde_json::from_slice(&came)?;
    let value = answer["value"].take();
    if let Some(error) = value["error"].as_str() {
        bail!("{error}: {}", value["message"]);
    }
    Ok(value)
}

/// The driver keeps the connection open, so the length it names is what ends an answer.
fn read_answer(from: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        ensure!(from.read_line(&mut line)? > 0, "no answer");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.context("an answer without a length")?];
    from.read_exact(&mut body)?;
    Ok(body)
}
