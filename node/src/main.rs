//! Runs `polypeer`.

use std::process::ExitCode;

fn main() -> ExitCode {
    polypeer::cli::main()
}
