//! Tests in processes of their own, and what those hold.

use std::fs;
use std::process::Command;

const STORY: &str = "POLYPEER_TEST_STORY";

/// Runs the test of this name again, in a child with many file descriptors. False in that child, which is to tell the
/// story itself.
pub(crate) fn in_a_child(name: &str) -> bool {
    if std::env::var(STORY).is_ok_and(|story| story == name) {
        return false;
    }
    let program = std::env::current_exe().expect("this program");
    let shell = format!("ulimit -n 20000 && exec \"$0\" --exact {name} --nocapture");
    let output = Command::new("sh").arg("-c").arg(shell).arg(program).env(STORY, name).output().expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
    print!("{out}");
    true
}

pub(crate) fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let resident: usize = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    resident * 4096
}

pub(crate) fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux").count()
}
