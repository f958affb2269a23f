from django.db import migrations

CREATE = """
CREATE FUNCTION suanwang_price_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Only an open end may be closed; everything else about a price is final.
    IF TG_OP = 'UPDATE'
        AND upper_inf(OLD.validity) AND NOT upper_inf(NEW.validity)
        AND lower(NEW.validity) = lower(OLD.validity)
        AND (to_jsonb(NEW) - 'validity') = (to_jsonb(OLD) - 'validity')
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'append_only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER price_guard BEFORE UPDATE OR DELETE ON registry_price
    FOR EACH ROW EXECUTE FUNCTION suanwang_price_guard();
CREATE TRIGGER price_guard_whole BEFORE TRUNCATE ON registry_price
    FOR EACH STATEMENT EXECUTE FUNCTION suanwang_append_only();
"""
DROP = """
DROP TRIGGER price_guard ON registry_price;
DROP TRIGGER price_guard_whole ON registry_price;
DROP FUNCTION suanwang_price_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial"), ("people", "0002_append_only")]
    operations = [migrations.RunSQL(CREATE, DROP)]
