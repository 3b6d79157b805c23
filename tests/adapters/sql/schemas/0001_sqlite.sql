CREATE TABLE workflow_ray_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT workflow_ray_schema_pkc PRIMARY KEY (version_num)
);
CREATE TABLE deployment (
	store_id VARCHAR(36) NOT NULL, 
	version BIGINT NOT NULL, 
	PRIMARY KEY (store_id)
)
 WITHOUT ROWID

;
CREATE TABLE workflows (
	name VARCHAR(255) NOT NULL, 
	place INTEGER, 
	reference TEXT NOT NULL, 
	python_path TEXT NOT NULL, 
	code VARCHAR(64) NOT NULL, 
	partitions INTEGER NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
CREATE TABLE statuses (
	workflow VARCHAR(255) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	number INTEGER NOT NULL, 
	active BOOLEAN NOT NULL, 
	PRIMARY KEY (workflow, name)
)
 WITHOUT ROWID

;
CREATE TABLE topology (
	role_group VARCHAR(255) NOT NULL, 
	workflow VARCHAR(255) NOT NULL, 
	shards INTEGER NOT NULL, 
	PRIMARY KEY (role_group, workflow)
)
 WITHOUT ROWID

;
CREATE TABLE fences (
	role VARCHAR(255) NOT NULL, 
	epoch BIGINT NOT NULL, 
	clean BOOLEAN NOT NULL, 
	PRIMARY KEY (role)
)
 WITHOUT ROWID

;
CREATE TABLE records (
	run_id VARCHAR(36) NOT NULL, 
	workflow VARCHAR(255) NOT NULL, 
	foreign_id VARCHAR(255) NOT NULL, 
	status INTEGER NOT NULL, 
	run_state INTEGER NOT NULL, 
	version BIGINT NOT NULL, 
	visit BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	cause INTEGER NOT NULL, 
	reason TEXT, 
	partition_no INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	idempotency_key VARCHAR(255), 
	created_at BIGINT NOT NULL, 
	updated_at BIGINT NOT NULL, 
	unfinished VARCHAR(255), 
	PRIMARY KEY (run_id)
);
CREATE UNIQUE INDEX records_unfinished ON records (workflow, unfinished);
CREATE INDEX records_foreign_id ON records (workflow, foreign_id, run_id);
CREATE INDEX records_by_workflow ON records (workflow, run_id);
CREATE TABLE idempotency_keys (
	workflow VARCHAR(255) NOT NULL, 
	idempotency_key VARCHAR(255) NOT NULL, 
	run_id VARCHAR(36) NOT NULL, 
	PRIMARY KEY (workflow, idempotency_key)
)
 WITHOUT ROWID

;
CREATE TABLE history (
	run_id VARCHAR(36) NOT NULL, 
	version BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	run_state INTEGER NOT NULL, 
	cause INTEGER NOT NULL, 
	written_by VARCHAR(255) NOT NULL, 
	reason TEXT, 
	written_at BIGINT NOT NULL, 
	write_id VARCHAR(36) NOT NULL, 
	data BLOB, 
	PRIMARY KEY (run_id, version)
)
 WITHOUT ROWID

;
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	topic VARCHAR(255) NOT NULL, 
	partition_no INTEGER NOT NULL, 
	run_id VARCHAR(36) NOT NULL, 
	version BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	due_at BIGINT NOT NULL, 
	headers TEXT
);
CREATE TABLE sqlite_sequence(name,seq);
CREATE INDEX outbox_due ON outbox (due_at, id);
CREATE TABLE events (
	topic VARCHAR(255) NOT NULL, 
	partition_no INTEGER NOT NULL, 
	stream_offset BIGINT NOT NULL, 
	run_id VARCHAR(36) NOT NULL, 
	version BIGINT NOT NULL, 
	status INTEGER NOT NULL, 
	headers TEXT, 
	PRIMARY KEY (topic, partition_no, stream_offset)
)
 WITHOUT ROWID

;
CREATE TABLE heads (
	topic VARCHAR(255) NOT NULL, 
	partition_no INTEGER NOT NULL, 
	next_offset BIGINT NOT NULL, 
	PRIMARY KEY (topic, partition_no)
)
 WITHOUT ROWID

;
CREATE TABLE positions (
	role_group VARCHAR(255) NOT NULL, 
	partition_no INTEGER NOT NULL, 
	stream_offset BIGINT NOT NULL, 
	PRIMARY KEY (role_group, partition_no)
)
 WITHOUT ROWID

;
