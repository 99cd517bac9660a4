import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ROOT } from './sources.ts'
import { statements } from './statements.ts'
import { carried, unnamed } from './tidy/shards.ts'
import { touchedBy } from './tidy/sql.ts'
import { migrations, tablesOf } from './tidy/tables.ts'
import { parse } from './tidy/tree.ts'

/** The tables whose rows belong to a shard. */
const SHARDED = new Set(
  [...tablesOf(migrations())].filter(([, sharded]) => sharded).map(([table]) => table),
)

/**
 * The statements that are about no shard, and why. A new one is a decision about where it can run.
 */
const UNSHARDED: readonly (readonly [names: RegExp, why: string])[] = [
  [/^restores_/, 'a server is restored with all of its shards'],
  [/^settings_|^durability_read$/, 'facts that all processes agree on'],
  [/^(keys|sessions)_/, 'API keys, and who is signed in, are of the whole service'],
  [/^processes_/, 'a process serves all shards'],
  [/^verifications_/, 'the books are checked over all shards'],
  [/^(endpoints_|webhooks_disabled$)/, 'an endpoint wants events of all shards'],
  [/^event_wants_lock$/, 'locks the table, and reads no row'],
  [/^redrives_/, 'a run redrives letters of all shards'],
  [/^breaker_/, 'a gateway knows no shards'],
  [/^counters_/, 'counted by processes'],
  [/^users_ids$/, 'the number of a user says which shard is its'],
  [/^session_(ids|numbers)$/, 'the session names the shard itself'],
  [/^verify_outside_shards$/, 'looks for rows in shards that there are not'],
  [/^looks_/, 'looks which shards of a server are worth asking, in each by itself'],
  [/^payment_series_(read|roll_up)$/, 'charts are of all shards of a server, in rows of its first'],
  [
    /^ranges_(?:read|given)$|^verify_first_range_end$/,
    'which tables there are, which is no row of theirs',
  ],
  [/^verify_sequences$/, 'sequences are of all shards'],
  [/^verify_time$/, 'the time, which is no row'],
  [
    /_one_snapshot$|^verify_read_only$|^postings_along_key$/,
    'set the transaction that it is sent in',
  ],
  [/^postgres_probe$|^connections_|^migrations_/, 'asks about the server'],
]

/** What is added up over the shards of a server: counts, of which no row is anybody's. */
const SUMMED_UP = new Set(['payment_counts', 'payment_series', 'payment_series_steps'])

/** Texts that pass the rule, and texts that it has to see. */
const NAMING: readonly (readonly [sql: string, wrong: RegExp | null])[] = [
  ['select id from users where shard = $1 and id = $2', null],
  ["select id from users where shard = $1 -- , payments\n and name = 'from payments'", null],
  ['update users set held = 0 where users.shard = $1', null],
  ['insert into users (shard, id) select $1::int, $2', null],
  ['insert into users (shard, id) values ($1::int, $2) on conflict (shard, id) do nothing', null],
  ['select id from users where id = $2', /1 tables, and 0 times/],
  ['SELECT id FROM Users WHERE id = $2', /1 tables/],
  ['select id from public.users where id = $2', /1 tables/],
  ['select id from "users" where id = $2', /1 tables/],
  ['select id from only users where id = $2', /1 tables/],
  ['truncate users', /1 tables/],
  ['delete from users using payments where users.shard = $1', /2 tables, and 1 times/],
  ['select 1 from users, payments where users.shard = $1', /2 tables, and 1 times/],
  ['select 1 from user_keys where key = $2', /1 tables/],
  ['select 1 from users where shard = $1 and SHARD <> $2', /shard <> \$2/],
  ['select 1 from users where shard = $1 and $2 = "shard"', /= shard/],
  ['select 1 from users a where a.shard = $1 and $2 = a.shard', /= shard/],
  ['select 1 from users where shard = $1 or shard between 1 and $2', /shard between/],
  ['insert into users (id, shard) select $2, $1::int', /into users \( id/],
  ['INSERT INTO "users" (shard, id) select 7, $2', /1 inserts, and 0/],
]

test('the rule of naming a shard reads SQL as PostgreSQL does', () => {
  for (const [sql, wrong] of NAMING) {
    const said = unnamed(sql, SHARDED).join()
    if (wrong === null) assert.equal(said, '', sql)
    else assert.match(said, wrong, sql)
  }
})

test('every statement names one shard, $1, in each table that it touches, or is a named exception', async () => {
  const found = await statements()
  const wrong = found
    .filter(({ sharded }) => sharded)
    .flatMap((one) => unnamed(one.text, SHARDED).map((what) => `${one.name}: ${what}`))
  assert.deepEqual(wrong, [])
  const unsharded = found.filter(({ sharded }) => !sharded).map(({ name }) => name)
  assert.deepEqual(
    unsharded.filter((name) => !UNSHARDED.some(([names]) => names.test(name))),
    [],
  )
  const stale = UNSHARDED.filter(([names]) => !unsharded.some((name) => names.test(name)))
  assert.deepEqual(stale, [], 'exceptions that nothing needs any more')
  for (const { name, text } of found.filter(({ sharded }) => !sharded)) {
    if (name === 'verify_outside_shards' || name === 'event_wants_lock') continue
    if (name.startsWith('looks_')) {
      assert.match(
        text,
        /where shard = asked\.number/,
        `${name} looks into one shard after another`,
      )
      continue
    }
    if (name.startsWith('payment_series_')) {
      for (const table of touchedBy(text, SHARDED)) assert.ok(SUMMED_UP.has(table), name)
      assert.match(text, /where shard = asked\.number/)
      continue
    }
    assert.deepEqual(touchedBy(text, SHARDED), [], `${name} touches what belongs to a shard`)
  }
})

/** What reads a clock in SQL. */
const CLOCK =
  /\b(?:clock_timestamp|now|statement_timestamp|transaction_timestamp)\(\)|\bcurrent_(?:timestamp|date|time)\b/

test('the time of a statement is its session’s, at one place, or it has none', async () => {
  for (const { name, text, sharded, clock } of await statements()) {
    // When a key was revoked is read by people, and compared with nothing.
    if (name === 'keys_revoke') continue
    const place = sharded ? '$2' : '$1'
    const given = new RegExp(
      `coalesce\\(\\${place}::timestamptz, (?:clock_timestamp|now)\\(\\)\\)`,
      'g',
    )
    const rest = text.replace(given, '')
    assert.equal(rest.length < text.length, clock, `${name}: what it says of its clock`)
    assert.doesNotMatch(rest, CLOCK, `${name}: a time that is not the session’s`)
    if (clock)
      assert.doesNotMatch(rest, new RegExp(`\\${place}\\b`), `${name}: ${place} is its clock`)
  }
})

test('outside the session nobody carries a shard’s number or a time, nor goes through shards', () => {
  assert.deepEqual(carried(parse(ROOT)), [])
})
