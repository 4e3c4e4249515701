-- The header `User-Agent` of the sign-in: operators decide by it which of their sessions to end.
ALTER TABLE operator_sessions ADD COLUMN user_agent TEXT;
