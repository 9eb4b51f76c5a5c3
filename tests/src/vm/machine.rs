//! One virtual machine: started, told what to do over a serial port of its own, and ended with whoever started it.

use super::image::{Image, Kernel};
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// From power to the first answer, with other work going on. It takes 20 s on two idle cores.
const BOOT_LIMIT: Duration = Duration::from_mins(4);
/// How much longer an answer may take than the command it is about.
const MARGIN: Duration = Duration::from_mins(1);
/// Where the environment has it, each command is told on standard error with how long it took.
const TIMES: &str = "NESTWARDEN_VM_TIMES";
const MAX_COMMAND_BYTES: usize = 256 * 1024;

/// How a command in the machine ended.
#[derive(Clone, Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running machine. Killed when dropped, or when this process ends.
#[derive(Debug)]
pub struct Machine {
    dir: tempfile::TempDir,
    runner: Mutex<Port>,
    qmp: Mutex<Port>,
    /// Dropping it ends the thread that keeps the machine, and the machine with it.
    _keep: mpsc::Sender<()>,
}

#[derive(Debug)]
struct Port {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
}

impl Machine {
    /// Starts a machine from `image`, with the files of `payload_dir` at `/run/payload`.
    pub fn boot(image: &Image, kernel: Kernel, payload_dir: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let payload = dir.path().join("payload.tar");
        let mut tar = Command::new("tar");
        tar.arg("cf")
            .arg(&payload)
            .arg("-C")
            .arg(payload_dir)
            .arg(".");
        crate::process::done(tar)?;
        let mut command = emulator(image, kernel, dir.path(), &payload)?;
        let (keep, until_dropped) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        // A leash is held by the thread that started the program, so that thread stays.
        thread::spawn(move || {
            let child = command
                .spawn()
                .context("could not start the emulator; install qemu-system-x86");
            let _ = match child {
                Ok(mut child) => {
                    let _ = started.send(Ok(()));
                    let _ = until_dropped.recv();
                    child.kill().and_then(|()| child.wait()).map(|_| ())
                }
                Err(problem) => {
                    let _ = started.send(Err(problem));
                    Ok(())
                }
            };
        });
        is_started.recv()??;
        let connected = |name: &str| connect(&dir.path().join(name));
        let (runner, qmp) = (connected("runner"), connected("qmp"));
        let machine = Self {
            runner: Mutex::new(runner.with_context(|| emulator_log(dir.path()))?),
            qmp: Mutex::new(qmp.with_context(|| emulator_log(dir.path()))?),
            dir,
            _keep: keep,
        };
        machine.greet()?;
        // The emulator has it open.
        fs::remove_file(payload)?;
        Ok(machine)
    }

    /// Waits until the machine is up and has its payload.
    fn greet(&self) -> Result<()> {
        {
            let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
            qmp.line()?;
        }
        self.manage("qmp_capabilities", &json!({}))?;
        let unpack = "mkdir -p /run/payload && tar xf /dev/vdb -C /run/payload";
        let said = self
            .ask_within(unpack, 30, BOOT_LIMIT)
            .with_context(|| format!("the machine did not start:\n{}", self.console_end()))?;
        ensure!(said.code == 0, "{said:?}");
        Ok(())
    }

    /// Runs a shell script as root, to whatever end. 124: it took longer than `seconds`.
    pub fn ask(&self, script: &str, seconds: u32) -> Result<Said> {
        let limit = Duration::from_secs(u64::from(seconds)) + MARGIN;
        self.ask_within(script, seconds, limit)
            .with_context(|| format!("asked: {script}\n{}", self.console_end()))
    }

    fn ask_within(&self, script: &str, seconds: u32, limit: Duration) -> Result<Said> {
        ensure!(script.len() < MAX_COMMAND_BYTES, "too long a script");
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        runner.reader.get_ref().set_read_timeout(Some(limit))?;
        let line = format!("{seconds} {}\n", STANDARD.encode(script));
        runner.writer.write_all(line.as_bytes())?;
        let asked_at = Instant::now();
        let answer = runner.line()?;
        if std::env::var_os(TIMES).is_some() {
            let first: String = script.chars().take(100).collect();
            let _ = writeln!(std::io::stderr(), "{:8.2?} {first:?}", asked_at.elapsed());
        }
        let mut words = answer.split_whitespace();
        let mut word = || words.next().context("half an answer");
        let code = word()?.parse()?;
        let (stdout, stderr) = (decoded(word()?)?, decoded(word()?)?);
        Ok(Said {
            code,
            stdout,
            stderr,
        })
    }

    /// One order to the machine's hardware, in the words of qemu's machine protocol.
    pub fn manage(&self, order: &str, arguments: &Value) -> Result<Value> {
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        qmp.reader.get_ref().set_read_timeout(Some(MARGIN))?;
        let line = format!("{}\n", json!({ "execute": order, "arguments": arguments }));
        qmp.writer.write_all(line.as_bytes())?;
        loop {
            let answer: Value = serde_json::from_str(&qmp.line()?)?;
            if let Some(problem) = answer.get("error") {
                bail!("{order}: {problem}");
            }
            if let Some(done) = answer.get("return") {
                return Ok(done.clone());
            }
        }
    }

    /// Starts the machine anew, as a person would, and waits until it answers again.
    pub fn reboot(&self) -> Result<()> {
        self.ask("systemctl --no-block reboot", 60)?;
        {
            let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
            qmp.reader.get_ref().set_read_timeout(Some(BOOT_LIMIT))?;
            while serde_json::from_str::<Value>(&qmp.line()?)?["event"] != "RESET" {}
        }
        // What is asked from here on waits in the port until somebody reads it.
        let said = self.ask_within("true", 30, BOOT_LIMIT)?;
        ensure!(said.code == 0, "{said:?}\n{}", self.console_end());
        Ok(())
    }

    /// A place for files that the machine's hardware is made of.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn console_end(&self) -> String {
        let bytes = fs::read(self.dir.path().join("console")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Port {
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let count = self.reader.read_line(&mut line).context("no answer came")?;
        ensure!(count > 0, "the machine is gone");
        Ok(line)
    }
}

fn decoded(word: &str) -> Result<String> {
    let bytes = match word {
        "-" => Vec::new(),
        _ => STANDARD.decode(word)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn emulator(image: &Image, kernel: Kernel, dir: &Path, payload: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    let drive = |path: &Path, id: &str, rest: &str| {
        format!("file={},format=raw,if=none,id={id},{rest}", path.display())
    };
    let port = |name: &str| {
        let path = dir.join(name);
        format!(
            "socket,id={name},path={},server=on,wait=off",
            path.display()
        )
    };
    command
        .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args(["-accel", "tcg,thread=multi,tb-size=512"])
        .args(["-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1536"])
        .args(["-nodefaults", "-display", "none", "-nic", "none"])
        .arg("-kernel")
        .arg(image.kernel(kernel))
        .arg("-initrd")
        .arg(image.initrd(kernel))
        .arg("-append")
        .arg("console=ttyS0 loglevel=4 mitigations=off systemd.show_status=0")
        .arg("-drive")
        // What is written goes to a file of its own that ends with the machine.
        .arg(drive(&image.disk(), "root", "snapshot=on,cache=unsafe"))
        .args(["-device", "virtio-blk-pci,drive=root"])
        .arg("-drive")
        .arg(drive(payload, "payload", "readonly=on"))
        .args(["-device", "virtio-blk-pci,drive=payload"])
        .args(["-device", "virtio-serial-pci", "-chardev"])
        .arg(port("runner"))
        .args([
            "-device",
            "virtserialport,chardev=runner,name=nestwarden.runner",
        ])
        .args(["-device", "qemu-xhci,id=usb", "-serial"])
        .arg(format!("file:{}", dir.join("console").display()))
        .arg("-chardev")
        .arg(port("qmp"))
        .args(["-mon", "chardev=qmp,mode=control"])
        .env("TMPDIR", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(dir.join("emulator"))?);
    Ok(command)
}

fn emulator_log(dir: &Path) -> String {
    fs::read_to_string(dir.join("emulator")).unwrap_or_default()
}

fn connect(path: &Path) -> Result<Port> {
    let end = Instant::now() + MARGIN;
    let writer = loop {
        match UnixStream::connect(path) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() > end => {
                return Err(error).with_context(|| format!("no emulator at {}", path.display()));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    Ok(Port {
        reader: BufReader::new(writer.try_clone()?),
        writer,
    })
}
