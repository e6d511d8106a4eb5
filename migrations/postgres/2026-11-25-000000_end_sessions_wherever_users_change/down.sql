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
            LANGUAGE plpgsql AS $function$
            BEGIN
                DELETE FROM sessions WHERE user_id = NEW.id;
                RETURN NULL;
            END
            $function$
        $create$, home);
    END IF;
END
$migration$;
