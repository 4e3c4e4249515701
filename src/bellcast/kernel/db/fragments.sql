-- fragment: in_ids @sqlite
-- Whether a column is one of the ids of a JSON list.
IN (SELECT value FROM json_each(:ids))

-- fragment: in_ids @postgres
-- Whether a column is one of the ids of a JSON list. PostgreSQL cannot turn an array into a join that reads the table.
= ANY(ARRAY(SELECT value FROM json_array_elements_text(:ids::json)))
