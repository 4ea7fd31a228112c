package localkms

// schemaVersion is PRAGMA user_version of the databases this code writes; those
// of earlier versions are converted when they are opened (migrate.go).
const schemaVersion = 2

// schema is version 2. Times are Unix milliseconds, key ids 16 bytes. A key is
// named by Region and id: the members of a set of multi-Region keys share one id.
const schema = `
CREATE TABLE policy (
	id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used for another text
	hash     BLOB NOT NULL UNIQUE,              -- SHA-256 of document
	document TEXT NOT NULL
) STRICT;

CREATE TABLE cmk (
	region      TEXT NOT NULL,
	id          BLOB NOT NULL CHECK (length(id) = 16),
	state       TEXT NOT NULL,     -- Enabled, Disabled, PendingImport, PendingDeletion, PendingReplicaDeletion, Deleted
	spec        TEXT NOT NULL,
	usage       TEXT NOT NULL,
	origin      TEXT NOT NULL,
	manager     TEXT NOT NULL,     -- CUSTOMER, or the service an AWS managed key is for
	description TEXT NOT NULL,
	policy      INTEGER NOT NULL REFERENCES policy (id),
	created     INTEGER NOT NULL,
	prime       TEXT NOT NULL,     -- Region of the primary of a multi-Region key; '' for others
	current     INTEGER NOT NULL,  -- number of the current material; 0 before the first import
	public      BLOB,              -- asymmetric keys: DER SubjectPublicKeyInfo
	window      INTEGER NOT NULL,  -- days between ScheduleKeyDeletion and deletion
	deletion    INTEGER,           -- when it is due, or was done
	period      INTEGER NOT NULL,  -- days between automatic rotations; 0 for none
	rotation    INTEGER,           -- when the next automatic one is due
	expiry      INTEGER,           -- when the first of the imported materials expires
	due         INTEGER GENERATED ALWAYS AS (min(
			iif(state LIKE 'Pending%Deletion', ifnull(deletion, 9e18), 9e18),
			iif(state = 'Enabled', ifnull(rotation, 9e18), 9e18),
			ifnull(expiry, 9e18))) VIRTUAL,
	PRIMARY KEY (region, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX cmk_due ON cmk (due) WHERE due < 9e18;
CREATE INDEX cmk_id ON cmk (id);

-- How many keys of the customer's each Region has, for the quota: counting them
-- would make the last key cost more than the first.
CREATE TABLE key_count (
	region TEXT PRIMARY KEY,
	n      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER cmk_made AFTER INSERT ON cmk WHEN new.manager = 'CUSTOMER' AND new.state <> 'Deleted' BEGIN
	INSERT INTO key_count VALUES (new.region, 1) ON CONFLICT (region) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER cmk_deleted AFTER UPDATE OF state ON cmk
WHEN new.manager = 'CUSTOMER' AND old.state <> 'Deleted' AND new.state = 'Deleted' BEGIN
	UPDATE key_count SET n = n - 1 WHERE region = new.region;
END;
CREATE TRIGGER cmk_removed AFTER DELETE ON cmk WHEN old.manager = 'CUSTOMER' AND old.state <> 'Deleted' BEGIN
	UPDATE key_count SET n = n - 1 WHERE region = old.region;
END;

CREATE TABLE material (
	region      TEXT NOT NULL,
	cmk         BLOB NOT NULL,
	number      INTEGER NOT NULL, -- 1 for the first; above cmk.current: waits for its rotation
	id          BLOB NOT NULL,    -- KeyMaterialId, 32 bytes
	ref         BLOB NOT NULL,    -- its first 8 bytes, as blobs name it
	sealed      BLOB,             -- NULL once destroyed, deleted or expired
	created     INTEGER NOT NULL,
	rotated     INTEGER,          -- when it became current; NULL for the first and for one that waits
	rotation    TEXT,             -- AUTOMATIC, ON_DEMAND; NULL for the first
	expires     INTEGER,          -- imported: ValidTo; NULL if it does not expire
	description TEXT NOT NULL,    -- imported: KeyMaterialDescription
	PRIMARY KEY (region, cmk, number),
	UNIQUE (region, cmk, ref),
	FOREIGN KEY (region, cmk) REFERENCES cmk
) STRICT, WITHOUT ROWID;

CREATE TABLE alias (
	region  TEXT NOT NULL,
	name    TEXT NOT NULL,     -- "alias/NAME"
	cmk     BLOB NOT NULL,
	created INTEGER NOT NULL,
	updated INTEGER NOT NULL,
	PRIMARY KEY (region, name),
	FOREIGN KEY (region, cmk) REFERENCES cmk
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_cmk ON alias (region, cmk);

CREATE TABLE tag (
	region TEXT NOT NULL,
	cmk    BLOB NOT NULL,
	name   TEXT NOT NULL,
	value  TEXT NOT NULL,
	PRIMARY KEY (region, cmk, name),
	FOREIGN KEY (region, cmk) REFERENCES cmk
) STRICT, WITHOUT ROWID;

CREATE TABLE key_grant (
	region     TEXT NOT NULL,
	cmk        BLOB NOT NULL,
	id         BLOB NOT NULL CHECK (length(id) = 32), -- GrantId, 64 hex digits
	name       TEXT NOT NULL,
	grantee    TEXT NOT NULL, -- ARN
	retiring   TEXT NOT NULL, -- ARN or ''
	operations TEXT NOT NULL, -- JSON list
	subset     TEXT,          -- JSON object: EncryptionContextSubset
	equals     TEXT,          -- JSON object: EncryptionContextEquals
	created    INTEGER NOT NULL,
	PRIMARY KEY (region, cmk, id),
	FOREIGN KEY (region, cmk) REFERENCES cmk
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_grantee ON key_grant (region, cmk, grantee);
CREATE INDEX grant_retiring ON key_grant (region, retiring, cmk, id) WHERE retiring <> '';

CREATE TABLE principal (
	kind    TEXT NOT NULL, -- user, role
	name    TEXT NOT NULL,
	id      TEXT NOT NULL UNIQUE, -- AIDA..., AROA...
	trust   TEXT NOT NULL,        -- roles: who may assume it, a policy document
	session INTEGER NOT NULL,     -- roles: longest session in seconds
	created INTEGER NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE principal_policy (
	kind     TEXT NOT NULL,
	owner    TEXT NOT NULL,
	name     TEXT NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (kind, owner, name),
	FOREIGN KEY (kind, owner) REFERENCES principal
) STRICT, WITHOUT ROWID;

CREATE TABLE access_key (
	id      TEXT PRIMARY KEY, -- AKIA...
	user    TEXT NOT NULL,
	sealed  BLOB NOT NULL,    -- the secret
	active  INTEGER NOT NULL,
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_key_user ON access_key (user);

-- Counts changes of the three tables above, for caches of what they say.
CREATE TABLE iam_version (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	version INTEGER NOT NULL
) STRICT;
INSERT INTO iam_version VALUES (1, 1);
`

// auditSchema is the part of the schema that version 2 left as it was.
const auditSchema = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
	seq    INTEGER PRIMARY KEY, -- 1, 2, 3 and no gaps
	cmk    BLOB,                -- key of the operation
	source BLOB,                -- ReEncrypt: key the blob was under
	record TEXT NOT NULL,       -- JSON; see docs/kms.md, "Audit log"
	hash   BLOB NOT NULL        -- chained over all of the above
) STRICT;
CREATE INDEX audit_cmk ON audit (cmk);
CREATE INDEX audit_source ON audit (source) WHERE source IS NOT NULL;

CREATE TABLE audit_head (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	seq  INTEGER NOT NULL,
	hash BLOB NOT NULL,
	mac  BLOB NOT NULL          -- over seq and hash
) STRICT;
`

// checkpointSchema is what version 2 added to the audit log.
const checkpointSchema = `
-- Signed statements that the log had this hash at this length.
CREATE TABLE audit_checkpoint (
	seq       INTEGER PRIMARY KEY,
	time      INTEGER NOT NULL,
	hash      BLOB NOT NULL,
	signature BLOB NOT NULL
) STRICT;

-- The end of the log while the store is locked and audit_head cannot be sealed.
CREATE TABLE audit_tail (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	seq  INTEGER NOT NULL,
	hash BLOB NOT NULL
) STRICT;
`
