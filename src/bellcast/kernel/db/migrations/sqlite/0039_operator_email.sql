-- The confirmed e-mail of an operator, and one that is not confirmed yet with its code, encrypted.
ALTER TABLE operators ADD COLUMN email TEXT;
ALTER TABLE operators ADD COLUMN email_pending TEXT;
