import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openUsers } from '../src/users/open.ts'
import { testWorld } from './harness.ts'
import { run } from './programs.ts'

test('users are listed, shown and erased in a terminal, while no API runs', async (t) => {
  const world = await testWorld(t)
  const texts = { externalId: 'shop-1', metadata: { note: '\u001b[2J' } }
  await openUsers(world.db, [{ balance: 1_000n, texts }, { balance: 250n }])
  const users = (...args: string[]) => run(t, ['users', ...args], { DATABASE_URL: world.url })
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await users(...args, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout) as Record<string, unknown>
  }

  const page = await json('list', '--limit', '1')
  const [newest] = page['data'] as Record<string, unknown>[]
  assert.deepEqual([newest?.['id'], page['next_before'], page['incomplete']], [2, 2, false])
  const rest = await json('list', '--before', '2')
  assert.deepEqual([rest['data'], rest['next_before']], [[await json('show', '1')], null])
  const named = await json('list', '--external-id', 'shop-1')
  assert.deepEqual(named['data'], rest['data'])

  const listed = await users('list')
  const [first = '', second = ''] = listed.stdout.split('\n')
  assert.match(first, /^2 .* 2\.50 USD {2}held 0\.00$/)
  assert.match(second, /^1 .* 10\.00 USD {2}held 0\.00 {2}shop-1 {2}\{"note":"/)
  assert.doesNotMatch(listed.stdout.replaceAll('\n', ''), /\p{Cc}/u)

  const erased = await json('erase', '1', '--reason', 'asked for')
  assert.deepEqual(erased, { id: 1, external_id: true, metadata: true, payments: 0 })
  const [act] = await world.sql<Record<string, unknown>>(
    'select act, user_id, reason, request_id, left(actor, 4) as actor from operator_acts',
  )
  const by = { reason: 'asked for', request_id: 'cli', actor: 'cli:' }
  assert.deepEqual(act, { act: 'erase', user_id: 1n, ...by })
  assert.equal((await users('list', '--external-id', 'shop-1')).stdout, 'No users.\n')
  assert.match((await users('erase', '2', '--reason', 'x')).stdout, /^User 2 is erased/)
})

test('what cannot be done with users ends with 1, and a wrong call with 2', async (t) => {
  const world = await testWorld(t)
  const id = await world.user(1_000n)
  await world.accept([{ type: 'deposit', userId: id, amount: 100n, idempotencyKey: null }])
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['show', '99'], 1, /^Refused: user_not_found\. No user has this id\. See docs/],
    [['erase', '99', '--reason', 'x'], 1, /^Refused: user_not_found\. /],
    [['erase', String(id), '--reason', 'x'], 1, /^Refused: payments_open\. /],
    [['erase', String(id)], 2, /required option '--reason <text>'/],
    [['erase', String(id), '--reason', ' '], 2, /1 to 500 characters/],
    [['show', 'x'], 2, /a whole number of at most 15 digits/],
    [['list', '--limit', '501'], 2, /a whole number of 1 to 500/],
    [['list', '--before', '0'], 2, /a whole number of at most 15 digits/],
  ]
  for (const [args, code, says] of cases) {
    const ended = await run(t, ['users', ...args], { DATABASE_URL: world.url })
    assert.equal(ended.code, code, args.join(' '))
    assert.match(ended.stderr, says)
  }
})
