//! What `perf script -F comm,ip,sym` prints, read as samples: a thread and the functions on its stack.

/// The kernel's half of the addresses begins so, on each 64-bit machine that Linux runs on.
const KERNEL: &str = "ffff";

/// A moment of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The thread's name, as far as the kernel keeps it (15 characters).
    pub thread: &'a str,
    /// The functions on its stack, the innermost first.
    pub functions: Vec<&'a str>,
    /// Whether the kernel was at work.
    pub is_in_kernel: bool,
}

/// The samples of a text: a line with the thread's name, a line a frame, and an empty one.
pub fn read(text: &str) -> Vec<Sample<'_>> {
    let mut samples: Vec<Sample> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some(frame) = line.strip_prefix(char::is_whitespace) else {
            samples.push(Sample {
                thread: line.trim(),
                functions: Vec::new(),
                is_in_kernel: false,
            });
            continue;
        };
        let (address, function) = frame.trim().split_once(' ').unwrap_or((frame.trim(), ""));
        if let Some(sample) = samples.last_mut() {
            // The end of a stack that couldn't be followed is an address of ones alone.
            sample.is_in_kernel |= sample.functions.is_empty() && address.len() == 16 && address.starts_with(KERNEL);
            sample.functions.push(function.trim());
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_thread_and_its_functions() {
        let text = "tokio-rt-worker \n\
                    \tffffffff82024635 tcp_mstamp_refresh\n\
                    \t           fde9d __GI___writev\n\
                    \t         1a365ef <tokio::net::tcp::stream::TcpStream as tokio::io::AsyncWrite>::poll_write\n\
                    \n\
                    sqlx-sqlite-wor \n\
                    \t           fec4a fsync\n\
                    \tffffffffffffffff [unknown]\n\
                    \n";
        let expected = [
            Sample {
                thread: "tokio-rt-worker",
                functions: vec![
                    "tcp_mstamp_refresh",
                    "__GI___writev",
                    "<tokio::net::tcp::stream::TcpStream as tokio::io::AsyncWrite>::poll_write",
                ],
                is_in_kernel: true,
            },
            Sample {
                thread: "sqlx-sqlite-wor",
                functions: vec!["fsync", "[unknown]"],
                is_in_kernel: false,
            },
        ];
        assert_eq!(read(text), expected);
        assert_eq!(read(""), []);
    }
}
