-- The function names the schema of the users table, so that it works whatever the caller's
-- search_path is, and never deletes from a table of the same name in another schema. It is replaced
-- in the schema where it is, which the search_path of a migration need not begin with.
DO $migration$
DECLARE
    home name;
BEGIN
    SELECT n.nspname INTO home
    FROM pg_trigger AS t
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE t.tgrelid = 'users'::regclass AND t.tgname = 'users_disabled';
    IF home IS NOT NULL THEN
        EXECUTE format($create$
            CREATE OR REPLACE FUNCTION %I.end_sessions_of_user() RETURNS trigger
            LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $function$
            BEGIN
                EXECUTE format('DELETE FROM %%I.sessions WHERE user_id = $1', TG_TABLE_SCHEMA)
                USING NEW.id;
                RETURN NULL;
            END
            $function$
        $create$, home);
    END IF;
END
$migration$;
