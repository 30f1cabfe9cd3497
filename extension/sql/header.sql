\echo Use "CREATE EXTENSION purser" to load this file. \quit

-- Names in this script mean the server's own, whatever other schemas hold: bodies of SQL functions
-- and views are bound to what is found here.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Made here, so that a schema somebody else prepared makes the installation fail.
CREATE SCHEMA purser;
COMMENT ON SCHEMA purser IS 'Usage quotas, plans, prepaid credits and user deletion';

-- Roles are shared by all databases of a cluster, so they may be there already.
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['purser_app', 'purser_admin', 'purser_sidecar', 'purser_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
      EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END
$$;
