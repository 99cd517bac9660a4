import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type pg from 'pg'
import { groupLetters, listLetters } from '../src/dead-letters/list.ts'
import { readSought } from '../src/domain/search.ts'
import { pageOfViews } from '../src/payments/read.ts'
import { search } from '../src/search/search.ts'
import { cloneDatabase } from './databases.ts'
import { ANY, openDb } from './harness.ts'
import {
  calmDown,
  comparedOneByOne,
  explaining,
  genericShape,
  LARGE,
  newPlanner,
  planner,
  shapeOf,
} from './plans-kit.ts'
import { ROOT } from './sources.ts'
import { statements } from './statements.ts'

const PAGE = join(ROOT, 'docs', 'query-plans.txt')

/** Another release of PostgreSQL may plan otherwise, which is no fault of ours. */
const RELEASE = 18

/** Not on the page: `verify` reads everything there is, and the others read no rows. */
const APART = /^verify_|_one_snapshot$|^postings_along_key$|^event_wants_lock$/

/** Statements that read a whole table that grows, and why they may. */
const WHOLE: Readonly<Record<string, string>> = {
  held_read: 'a gauge, which is read once for each scrape',
  tasks_view: 'a gauge of the queue, which is as long as the backlog',
  overview_pending: 'the same for the console, once a second at most',
  redrives_plan: 'operators plan runs, by hand',
}

/** The shape of the plan of every statement, by its name. */
async function shapes(client: pg.Client): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const { name, text } of await statements()) {
    if (!APART.test(name)) found.set(name, await genericShape(client, text))
  }
  return found
}

/** What differs between the plans that are kept and others, by statement. */
function differences(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `${name}\n${before.get(name) ?? ''}\n  is now\n${after.get(name) ?? ''}`)
}

/** The page that is kept, by statement. */
function kept(): Map<string, string> {
  const blocks = readFileSync(PAGE, 'utf8').trimEnd().split('\n\n').slice(1)
  return new Map(
    blocks.map((block) => {
      const end = block.indexOf('\n')
      return [block.slice(0, end), block.slice(end + 1)]
    }),
  )
}

const INTRODUCTION = `\
The plan of every statement, over tables of 20,000 rows: its nodes, and below each one, indented,
what it reads from. \`npm run query-plans\` writes this page, and test/plans.test.ts compares it.`

test('every statement has the plan that docs/query-plans.txt shows, and none reads a whole table', async (t) => {
  const url = await cloneDatabase(t)
  const client = await planner(t, url)
  const found = await shapes(client)

  await t.test('none reads the whole of a table that grows, but for those that say why', () => {
    const whole = new RegExp(`\\bSeq Scan (?:${LARGE.join('|')})$`, 'm')
    const readers = [...found].filter(([, shape]) => whole.test(shape)).map(([name]) => name)
    assert.deepEqual(readers.toSorted(), Object.keys(WHOLE).toSorted())
  })

  const { rows } = await client.query<{ number: string }>(
    `select current_setting('server_version_num') as number`,
  )
  if (Math.trunc(Number(rows[0]?.number) / 10_000) !== RELEASE) return
  if (process.env['QUERY_PLANS'] === 'write') {
    const blocks = [...found].map(([name, shape]) => `${name}\n${shape}`)
    writeFileSync(PAGE, `${[INTRODUCTION, ...blocks].join('\n\n')}\n`)
  }

  await t.test('the page shows them all', () => {
    assert.deepEqual(differences(kept(), found), [], 'meant? then `npm run query-plans`')
  })

  await t.test('a list has its plan whatever it is filtered by', async () => {
    const db = explaining(openDb(t, url), 'custom', (name, plan) => {
      assert.equal(shapeOf(plan), found.get(name), name)
    })
    for (const status of [null, 'new', 'success', 'failed', 'unknown'] as const) {
      for (const type of [null, 'deposit'] as const) {
        for (const userId of [null, 1n]) {
          await pageOfViews(db, { ...ANY, userId, status, type }, 2n ** 62n, 50)
        }
      }
    }
    for (const letters of [null, 'failed', 'unknown'] as const) {
      for (const state of [null, 'open', 'resolved'] as const) {
        await listLetters(db, { class: letters, state, error: null }, 50, 0)
      }
    }
    for (const typed of ['17', '1', 'key 2', 'ref 5', 'id 7', '100.00', 'nobody']) {
      const sought = readSought(typed)
      if (sought !== null) await search(db, sought)
    }
    await groupLetters(db)
  })

  await t.test(
    'an index that refuses nothing is there for a plan, which is seen to change',
    async () => {
      const indexes = await client.query<{ name: string }>(
        `select indexrelid::regclass::text as name
       from pg_index
       where indrelid = any ($1::regclass[]) and not indisunique`,
        [LARGE],
      )
      assert.ok(indexes.rows.length > 0)
      for (const { name } of indexes.rows) {
        await client.query(`begin; drop index ${name}`)
        const changed = differences(found, await shapes(client))
        await client.query('rollback')
        assert.ok(changed.length > 0, `nothing reads ${name}`)
      }
    },
  )
})

test('what a statement names is found by its key, also when the planner has learned that nothing waits', async (t) => {
  const all = (await statements()).filter(({ name }) => !APART.test(name))
  /** Which statements compare rows one by one. */
  const comparing = async (client: pg.Client) => {
    const found = new Map<string, string[]>()
    for (const { name, text } of all) {
      const filters = await comparedOneByOne(client, text)
      if (filters.length > 0) found.set(name, filters)
    }
    return Object.fromEntries(found)
  }
  const calm = await planner(t, await cloneDatabase(t))
  await calmDown(calm)
  assert.deepEqual(await comparing(calm), {}, 'where nothing waited')
  const fresh = await newPlanner(t, await cloneDatabase(t))
  assert.deepEqual(await comparing(fresh), {}, 'where nothing was ever counted')
})
