//! The sender's side: sign, send, resend until there is a receipt. The reference client.
