//! How much may wait, and how much may be sent along. Commands are not counted: each is answered, and nothing of it waits
//! but that answer.

/// What is over one of these is refused with a word, and nothing of it is lost that was taken before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tasks of one person that wait in one conversation …
    pub per_person: i64,
    /// … of everybody there …
    pub per_conversation: i64,
    /// … in all conversations of the chat …
    pub per_chat: i64,
    /// … and in all chats.
    pub in_all: i64,
    /// Attachments of one task, and messages without words of one person that wait in a chat for some.
    pub attachments: usize,
    /// Days after which what was said is forgotten; 0: never.
    pub keep_days: u32,
}

/// Days for which the audit is kept, where anything is ever forgotten.
pub const KEEP_AUDIT_DAYS: u32 = 400;

/// Messages that go into one task while it runs.
pub const STEERS: u32 = 20;

impl Default for Limits {
    fn default() -> Self {
        Self { per_person: 5, per_conversation: 20, per_chat: 100, in_all: 1000, attachments: 20, keep_days: 90 }
    }
}
