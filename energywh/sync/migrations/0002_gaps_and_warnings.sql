-- Number 1 was given to three layouts: with sync.chunk.planned_at_utc, without it, and with all that is below.
alter table sync.chunk drop column if exists planned_at_utc;
alter table sync.chunk add column if not exists gap varchar;
create table if not exists sync.payload_warning (
    dataset varchar not null,
    slice varchar not null,
    first_hour_utc timestamp not null,
    rule varchar not null,
    subject varchar not null,
    count bigint not null,
    first_seen_utc timestamp not null,
    last_seen_utc timestamp not null
);
comment on column sync.chunk.gap is
    'Which of its hours the answer lacks though the source should have them: until it has, the chunk stays due.';
comment on table sync.payload_warning is
    'What is wrong with the payloads held: columns, rows and values that were not taken, and since when.';
