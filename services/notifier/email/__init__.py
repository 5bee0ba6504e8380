"""From notifications to e-mails: digests collects them, rendering writes the text, message builds the e-mail, delivery sends it."""
