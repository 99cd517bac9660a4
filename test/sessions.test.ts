import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sources } from './sources.ts'
import { statements, type Found } from './statements.ts'

/** The tables whose rows belong to a shard. */
const SHARDED =
  'users|payments|payment_tasks|payment_attempts|postings|dead_letters|operator_acts|payment_counts'

/**
 * The statements that are about no shard, and why. A new one is a decision about where it can run.
 */
const UNSHARDED: readonly (readonly [names: RegExp, why: string])[] = [
  [/^settings_|^durability_read$/, 'facts that all processes agree on'],
  [/^keys_/, 'API keys are of the whole service'],
  [/^redrives_/, 'a run redrives letters of all shards'],
  [/^breaker_/, 'a gateway knows no shards'],
  [/^counters_/, 'counted by processes'],
  [/^users_ids$/, 'the number of a user says which shard is its'],
  [/^session_ids$/, 'the session names the shard itself'],
  [/^verify_outside_shards$/, 'looks for rows in shards that there are not'],
  [/^verify_time$/, 'the time, which is no row'],
  [
    /_one_snapshot$|^verify_read_only$|^postings_along_key$/,
    'set the transaction that it is sent in',
  ],
  [/^postgres_probe$|^migrations_/, 'asks about the server'],
]

/** The tables that a text reads or changes, without those that it inserts into. */
function touched(text: string): string[] {
  const places = text.matchAll(new RegExp(`\\b(?:from|join|update)\\s+(${SHARDED})\\b`, 'g'))
  return [...places].map(([, table = '']) => table)
}

/** What is wrong with how a sharded text names its shard. */
function unnamed({ text }: Found): string[] {
  const wrong: string[] = []
  const named = text.match(/\bshard = \$1\b/g)?.length ?? 0
  const read = touched(text)
  if (named < read.length) wrong.push(`${read.length} tables, and ${named} times shard = $1`)
  const inserts = [...text.matchAll(new RegExp(`insert into (?:${SHARDED})\\b[^(]*\\((\\w+)`, 'g'))]
  for (const [insert, first] of inserts) if (first !== 'shard') wrong.push(insert)
  const values = text.match(/\bselect\s+\$1::int\b/g)?.length ?? 0
  if (inserts.length > values) wrong.push(`${inserts.length} inserts, and ${values} of shard $1`)
  const other = /\bshard (?:<>|<|>|in\b|any\b|=(?! \$1\b)).{20}/.exec(text)
  if (other !== null) wrong.push(other[0])
  return wrong
}

test('every statement names one shard, $1, in each table that it touches, or is a named exception', async () => {
  const found = await statements()
  const wrong = found
    .filter(({ sharded }) => sharded)
    .flatMap((one) => unnamed(one).map((what) => `${one.name}: ${what}`))
  assert.deepEqual(wrong, [])
  const unsharded = found.filter(({ sharded }) => !sharded).map(({ name }) => name)
  assert.deepEqual(
    unsharded.filter((name) => !UNSHARDED.some(([names]) => names.test(name))),
    [],
  )
  const stale = UNSHARDED.filter(([names]) => !unsharded.some((name) => names.test(name)))
  assert.deepEqual(stale, [], 'exceptions that nothing needs any more')
  for (const { name, text } of found.filter(({ sharded }) => !sharded)) {
    if (name === 'verify_outside_shards') continue
    assert.deepEqual(touched(text), [], `${name} touches what belongs to a shard`)
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

/** Where a number of a shard, or of shards, may stand. */
const SESSION = /^src\/(ports|each-shard)\.ts$|^src\/adapters\/shard-session\.ts$|^src\/domain\//

test('outside the session nobody carries a shard’s number or a time, nor goes through shards', () => {
  const banned: readonly (readonly [what: string, text: RegExp])[] = [
    ['the number of a shard', /\bshard: number\b/],
    ['the number of shards', /\bshards: number\b/],
    ['a time for the database', /\bat: Date \| null[,)]/],
    ['a parameter for the time, by hand', /\$[12]::timestamptz, (?:clock_timestamp|now)\(\)/],
    [
      'a loop over shards',
      /\bof (?:\w+\.)*shards\b|< (?:\w+\.)*shards\b|\bshards\.(?:map|forEach|flatMap|filter|reduce)\b/,
    ],
  ]
  const found = sources('src')
    .filter(({ path }) => !SESSION.test(path))
    .flatMap(({ path, text }) => {
      const code = text.replace(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
      return banned.filter(([, pattern]) => pattern.test(code)).map(([what]) => `${path}: ${what}`)
    })
  assert.deepEqual(found, [])
})
