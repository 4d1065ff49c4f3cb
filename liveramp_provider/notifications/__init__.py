"""Who is told what: late, failed and recovered deliveries, by e-mail, Slack and webhook."""
