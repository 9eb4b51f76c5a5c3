//! The packages for 64-bit ARM tablets, beside those for this machine.

use crate::contents::lint;
use crate::{is_installed, packages, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use system_tests::process::skip;

/// Where they were built; tests/run says so.
const PACKAGES_VARIABLE: &str = "NESTWARDEN_ARM64_PACKAGES";
const NAMES: [&str; 2] = ["nestwarden-agent", "nestwarden-server"];
/// Of the C library in Debian 12.
const DEBIAN_12: (u32, u32) = (2, 36);
const EMULATED: [&str; 3] = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];

struct Pair {
    name: &'static str,
    theirs: Unpacked,
    /// For the machine that the tests run on.
    ours: Unpacked,
}

struct Unpacked {
    package: PathBuf,
    tree: tempfile::TempDir,
}

impl Unpacked {
    fn of(package: &Path) -> Self {
        let tree = tempfile::tempdir().unwrap();
        let target = tree.path().join("tree");
        run(
            "dpkg-deb",
            &[
                "--raw-extract",
                &package.to_string_lossy(),
                &target.to_string_lossy(),
            ],
        );
        Self {
            package: package.to_owned(),
            tree,
        }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.tree.path().join("tree").join(inside)
    }

    /// What `readelf` says of the package's program.
    fn program(&self, name: &str, question: &str) -> String {
        let program = self.path(&format!("usr/bin/{name}"));
        run("readelf", &["-W", question, &program.to_string_lossy()])
    }

    fn fields(&self) -> BTreeMap<String, String> {
        let control = fs::read_to_string(self.path("DEBIAN/control")).unwrap();
        let fields = control.lines().filter_map(|line| line.split_once(": "));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn depends(&self) -> BTreeSet<String> {
        let fields = self.fields();
        fields["Depends"].split(", ").map(str::to_owned).collect()
    }
}

/// `None`, and a skip said for `test`, where there are none.
fn pairs(test: &str) -> Option<Vec<Pair>> {
    let Some(dir) = std::env::var_os(PACKAGES_VARIABLE).map(PathBuf::from) else {
        skip(
            test,
            &format!(
                "needs packages for arm64 and {PACKAGES_VARIABLE}, as tests/run makes them as root"
            ),
        );
        return None;
    };
    let ours = packages(test)?;
    let pair = |(name, ours): (&'static str, &Path)| Pair {
        name,
        theirs: Unpacked::of(&theirs(&dir, name)),
        ours: Unpacked::of(ours),
    };
    let ours = [ours.agent.as_path(), ours.server.as_path()];
    Some(NAMES.into_iter().zip(ours).map(pair).collect())
}

fn theirs(dir: &Path, name: &str) -> PathBuf {
    let listed = fs::read_dir(dir).unwrap().flatten();
    let mut found = listed.map(|entry| entry.path()).filter(|path| {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        file.starts_with(&format!("{name}_")) && file.ends_with("_arm64.deb")
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no {name} for arm64 in {}", dir.display()))
}

/// Mode, owner and path of everything in a package.
fn listing(package: &Path) -> Vec<String> {
    let listed = run("dpkg-deb", &["--contents", &package.to_string_lossy()]);
    let mut lines: Vec<String> = listed
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5..].join(" "))
        })
        .collect();
    lines.sort();
    lines
}

fn files_beneath(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_beneath(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn the_arm64_packages_contain_what_this_machines_contain() {
    let Some(pairs) = pairs("the_arm64_packages_contain_what_this_machines_contain") else {
        return;
    };
    for Pair { name, theirs, ours } in pairs {
        assert_eq!(listing(&theirs.package), listing(&ours.package));
        // Byte by byte, the scripts of the maintainer too, but for the program and what is said of it.
        let differs = [
            format!("usr/bin/{name}"),
            "DEBIAN/control".to_owned(),
            "DEBIAN/md5sums".to_owned(),
        ];
        let mut compared = 0;
        for ours_path in files_beneath(&ours.path("")) {
            let inside = ours_path.strip_prefix(ours.path("")).unwrap();
            let inside = inside.to_str().unwrap();
            if !differs.iter().any(|differs| differs == inside) {
                let (ours, theirs) = (fs::read(&ours_path), fs::read(theirs.path(inside)));
                assert!(ours.unwrap() == theirs.unwrap(), "{name}: {inside}");
                compared += 1;
            }
        }
        assert!(compared > 5, "{name}: {compared} files were compared");
        let described = |unpacked: &Unpacked| {
            let mut fields = unpacked.fields();
            for varies in ["Architecture", "Installed-Size", "Depends"] {
                fields.remove(varies).expect(varies);
            }
            fields
        };
        assert_eq!(described(&theirs), described(&ours));
        assert_eq!(theirs.fields()["Architecture"], "arm64");
    }
}

#[test]
fn the_arm64_programs_are_for_that_processor_and_hardened_and_stripped_as_this_machines() {
    let test =
        "the_arm64_programs_are_for_that_processor_and_hardened_and_stripped_as_this_machines";
    let Some(pairs) = pairs(test) else {
        return;
    };
    for Pair { name, theirs, ours } in pairs {
        let header = theirs.program(name, "--file-header");
        let says = |what: &str, value: &str| {
            let mut lines = header.lines().filter_map(|line| line.split_once(':'));
            lines.any(|(key, said)| key.trim() == what && said.trim() == value)
        };
        assert!(says("Class", "ELF64"), "{header}");
        assert!(says("Machine", "AArch64"), "{header}");
        assert!(
            says("Type", "DYN (Position-Independent Executable file)"),
            "{header}"
        );
        let segments = theirs.program(name, "--program-headers");
        assert!(segments.contains("[Requesting program interpreter: /lib/ld-linux-aarch64.so.1]"));
        // Nothing writable can be executed, and addresses are fixed before the program begins.
        let hardened = |unpacked: &Unpacked| {
            let segments = unpacked.program(name, "--program-headers");
            let dynamic = unpacked.program(name, "--dynamic");
            let flags = |text: &str| {
                let flags = text.lines().filter(|line| line.contains("FLAGS"));
                let flags = flags.filter_map(|line| line.split_once(')'));
                flags
                    .map(|(_, flags)| flags.trim().to_owned())
                    .collect::<Vec<_>>()
            };
            let stack = segments.lines().find(|line| line.contains("GNU_STACK"));
            let stack = stack.map(|line| line.contains(" RW "));
            (stack, segments.contains("GNU_RELRO"), flags(&dynamic))
        };
        assert_eq!(hardened(&theirs), hardened(&ours));
        assert!(hardened(&theirs).0 == Some(true) && hardened(&theirs).1);
        for unpacked in [&theirs, &ours] {
            let sections = unpacked.program(name, "--section-headers");
            assert!(sections.contains(".dynsym"));
            assert!(!sections.contains(".symtab") && !sections.contains(".debug_line"));
        }
    }
}

/// The newest version of the C library's functions that a program asks for.
fn c_library_of(unpacked: &Unpacked, name: &str) -> (u32, u32) {
    let asked = unpacked.program(name, "--version-info");
    let versions = asked
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("GLIBC_"));
    let versions = versions.filter_map(|version| {
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    });
    versions.max().expect("it asks for some version")
}

#[test]
fn the_arm64_packages_depend_on_what_their_programs_need_and_debian_12_has() {
    let test = "the_arm64_packages_depend_on_what_their_programs_need_and_debian_12_has";
    let Some(pairs) = pairs(test) else {
        return;
    };
    for Pair { name, theirs, ours } in pairs {
        let needed = c_library_of(&theirs, name);
        assert!(needed <= DEBIAN_12, "{name} needs {needed:?}");
        let on_c_library = format!("libc6 (>= {}.{})", needed.0, needed.1);
        let rest = |unpacked: &Unpacked| {
            let all = unpacked.depends().into_iter();
            all.filter(|on| !on.starts_with("libc6 "))
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(rest(&theirs), rest(&ours));
        let mut expected = rest(&ours);
        expected.insert(on_c_library);
        assert_eq!(theirs.depends(), expected);
        // No library that the C library's package does not bring or depend on.
        let libraries = |unpacked: &Unpacked| {
            let dynamic = unpacked.program(name, "--dynamic");
            let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
            let needed = needed.filter_map(|line| line.split(['[', ']']).nth(1));
            needed.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let brought = [
            "ld-linux-aarch64.so.1",
            "libc.so.6",
            "libgcc_s.so.1",
            "libm.so.6",
        ];
        for library in libraries(&theirs) {
            assert!(brought.contains(&library.as_str()), "{name}: {library}");
        }
    }
}

#[test]
fn lintian_finds_nothing_wrong_with_the_arm64_packages() {
    let test = "lintian_finds_nothing_wrong_with_the_arm64_packages";
    let Some(pairs) = pairs(test) else {
        return;
    };
    if !is_installed("lintian") {
        skip(test, "needs lintian");
        return;
    }
    for pair in pairs {
        lint(&pair.theirs.package);
    }
}

#[test]
fn the_arm64_programs_start_on_an_emulated_processor() {
    let test = "the_arm64_programs_start_on_an_emulated_processor";
    let Some(pairs) = pairs(test) else {
        return;
    };
    if !is_installed("qemu-aarch64") {
        skip(test, "needs qemu-aarch64: apt-get install qemu-user");
        return;
    }
    let emulated = |program: &Path, arguments: &[&str]| {
        let program = program.to_string_lossy();
        let all = [&EMULATED[1..], &[&program], arguments].concat();
        run(EMULATED[0], &all)
    };
    for pair in &pairs {
        let program = pair.theirs.path(&format!("usr/bin/{}", pair.name));
        let version = pair.theirs.fields()["Version"].clone();
        let said = emulated(&program, &["--version"]);
        let version = version.split('-').next().unwrap();
        assert_eq!(said.trim(), format!("{} {version}", pair.name));
    }
    // A setting is made, with its keys, database and clock, and read again.
    let server = pairs[1].theirs.path("usr/bin/nestwarden-server");
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("data");
    let data = data.to_str().unwrap();
    emulated(
        &server,
        &[
            "--data",
            data,
            "init",
            "--name",
            "Little Acorns",
            "--address",
            "localhost:7443",
            "--recovery-kept",
        ],
    );
    let status = emulated(&server, &["--data", data, "status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["name"], "Little Acorns", "{status}");
}
