//! Parses the arguments, does the command, gives its exit code.

fn main() -> std::process::ExitCode {
    ledgerward::cli::main()
}
