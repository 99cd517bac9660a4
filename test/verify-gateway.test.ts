import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Command } from 'commander'
import { progress } from '../src/adapters/terminal.ts'
import type { Opened } from '../src/adapters/commands.ts'
import { openAndRun, verifyCommand, type VerifyCommandWorld } from '../src/verify/command.ts'
import { GatewayUnreadable, type ListCharges } from '../src/ports.ts'
import { httpCharges } from '../src/gateways/http-charges.ts'
import { halves, integerSet } from '../src/verify/integers.ts'
import { seededRandom } from '../src/domain/random.ts'
import { testWorld, type TestWorld } from './harness.ts'
import { serveMock, type MockServer } from './mock-server.ts'
import type { Order } from '../src/mock-gateway/orders.ts'
import { busyHistory, verifyWorld, violated } from './verify-history.ts'
import { moneyGoesBack } from './verify-money-back.ts'

/** Have the mock gateway execute every charge that the scripted one did. */
async function copyCharges(world: TestWorld, server: MockServer): Promise<void> {
  const rows = await world.sql<{
    id: bigint
    userId: bigint
    key: string
    amount: bigint
    commission: bigint
    type: 'deposit' | 'withdraw'
  }>(
    `select id, user_id as "userId", gateway_key::text as key, amount, commission, type
     from payments order by id`,
  )
  for (const { id, userId, key, ...rest } of rows) {
    if (!world.gateway.charged.has(key)) continue
    server.mock.pay({ key, paymentId: Number(id), userId: Number(userId), ...rest })
  }
}

async function agreeing(t: TestContext): Promise<{ world: TestWorld; server: MockServer }> {
  const world = await testWorld(t)
  await busyHistory(world, 1)
  const server = await serveMock(t)
  await copyCharges(world, server)
  return { world, server }
}

const listed = (url: string, gateway = 'http') => ({ gateway, list: httpCharges(url) })
const compare = (world: TestWorld, url: string) => verifyWorld(world, { gateways: [listed(url)] })

test('books and gateway that agree are clean', async (t) => {
  const { world, server } = await agreeing(t)
  const report = await compare(world, server.url)
  assert.deepEqual(violated(report), [])
  assert.equal(report.checked.charge, world.gateway.charged.size)
})

test('every difference between books and gateway is reported', async (t) => {
  const { world, server } = await agreeing(t)
  const pick = async (where: string) => {
    const [row] = await world.sql<{ id: bigint; amount: bigint; key: string }>(
      `select id, amount, gateway_key::text as key from payments where ${where} order by id limit 1`,
    )
    assert.ok(row)
    return row
  }
  const order = { userId: 1, commission: 2n, type: 'deposit' } as const
  const twice = await pick("status = 'success'")
  server.mock.pay({ ...order, key: null, paymentId: Number(twice.id), amount: twice.amount })
  const failed = await pick("status = 'failed' and last_error = 'http_402'")
  server.mock.pay({
    ...order,
    key: failed.key,
    paymentId: Number(failed.id),
    amount: failed.amount,
  })
  server.mock.pay({ ...order, key: 'strange', paymentId: 999_999, amount: 5n })
  const other = await pick("status = 'success' and id > 20")
  await world.sql('update payments set amount = amount + 1 where id = $1', [other.id])
  // A success the gateway knows nothing of: one that somebody made a success by hand.
  const missing = await pick("status = 'new'")
  await world.sql(
    "update payments set status = 'success', finished_at = created_at where id = $1",
    [missing.id],
  )

  // Only what finished before the comparison began must have been charged by then.
  world.clock.advance(1_000)
  const report = await compare(world, server.url)
  const found = Object.fromEntries(
    report.rules
      .filter(({ rule, violations }) => rule.startsWith('gateway_') && violations > 0)
      .map(({ rule, examples }) => [rule, examples.map(({ id }) => id)]),
  )
  assert.deepEqual(found, {
    gateway_charged_twice: [twice.id],
    gateway_missing_here: [twice.id, failed.id, 999_999n],
    gateway_missing_there: [missing.id],
    gateway_amount: [other.id],
  })
})

test('a gateway agrees with what went back: refunds, returns, and what was booked late', async (t) => {
  const world = await testWorld(t)
  await moneyGoesBack(world)
  const server = await serveMock(t)
  const rows = await world.sql<Order & { parent: bigint | null; status: string }>(
    `select id::int as "paymentId", user_id::int as "userId", gateway_key::text as key, amount,
       commission, type, parent_id as parent, status
     from payments
     where type <> 'return' and (status = 'success' or amount = 90000)
     order by id`,
  )
  assert.deepEqual(
    rows.map(({ type, status }) => `${type} ${status}`),
    ['deposit success', 'withdraw success', 'refund success', 'withdraw failed'],
  )
  for (const { parent, ...order } of rows) {
    server.mock.pay({ ...order, ...(parent === null ? {} : { parentId: Number(parent) }) })
  }
  world.clock.advance(1_000)
  const gateway = (report: Awaited<ReturnType<typeof compare>>) =>
    violated(report).filter((rule) => rule.startsWith('gateway_'))
  assert.deepEqual(gateway(await compare(world, server.url)), [])
  // Until it is booked late, what failed here was not to be charged there.
  await world.sql('grant delete on postings to current_user')
  await world.sql("delete from postings where kind = 'settle_late'")
  assert.deepEqual(gateway(await compare(world, server.url)), ['gateway_missing_here'])
})

test('a correction of what the gateway never executed is reported', async (t) => {
  const world = await testWorld(t)
  await moneyGoesBack(world)
  const server = await serveMock(t)
  world.clock.advance(1_000)
  const report = await compare(world, server.url)
  const missing = report.rules.find(({ rule }) => rule === 'gateway_missing_there')
  const lates = "select payment_id as id from postings where kind = 'settle_late'"
  const [late] = await world.sql<{ id: bigint }>(lates)
  assert.ok(missing?.examples.some(({ id }) => id === late?.id))
})

test('a refund that failed by mistake agrees with the gateway once it is booked as a return', async (t) => {
  const world = await testWorld(t)
  await moneyGoesBack(world)
  const server = await serveMock(t)
  const rows = await world.sql<Order & { parent: bigint | null }>(
    `select id::int as "paymentId", user_id::int as "userId", gateway_key::text as key, amount,
       commission, type, parent_id as parent
     from payments
     where type in ('deposit', 'refund') and status in ('success', 'failed') and attempts > 0
     order by id`,
  )
  for (const { parent, ...order } of rows) {
    server.mock.pay({ ...order, ...(parent === null ? {} : { parentId: Number(parent) }) })
  }
  world.clock.advance(1_000)
  const missing = async () => {
    const report = await compare(world, server.url)
    const rule = report.rules.find((one) => one.rule === 'gateway_missing_here')
    return rule?.examples.map(({ id }) => id)
  }
  const [failed] = await world.sql<{ id: bigint; parent: bigint }>(
    `select id, parent_id as parent from payments
     where type = 'refund' and status = 'failed' and attempts > 0`,
  )
  assert.deepEqual(await missing(), [failed?.id])
  // The return is under the name that the refund has in the gateway's list.
  const { charges } = await httpCharges(server.url)(0)
  const ref = charges.find(({ paymentId }) => paymentId === failed?.id)?.ref
  assert.ok(typeof ref === 'string')
  await world.sql(
    `update payment_children set ref = $1 where parent_id = $2 and payment_id = (
       select id from payments where return_kind = 'charged_back')`,
    [ref, failed?.parent],
  )
  assert.deepEqual(await missing(), [])
})

test('what is charged and booked behind the end of the gateway’s list is no alarm', async (t) => {
  const { world, server } = await agreeing(t)
  const list = httpCharges(server.url)
  let booked = 0
  const charges = async (after: number) => {
    const page = await list(after)
    if (page.next !== null) return page
    world.clock.advance(1_000)
    world.gateway.script = ['success']
    const userId = await world.user(0n)
    await world.accept([{ type: 'deposit', userId, amount: 100n, idempotencyKey: null }])
    booked += (await world.work()).filter(({ decision }) => decision.step === 'succeed').length
    world.clock.advance(1_000)
    return page
  }
  assert.deepEqual(
    violated(await verifyWorld(world, { gateways: [{ gateway: 'http', list: charges }] })),
    [],
  )
  assert.ok(booked > 0)
})

test('each gateway is compared with its own payments, and what is at another is a violation', async (t) => {
  const world = await testWorld(t)
  const [http, bank] = [await serveMock(t), await serveMock(t)]
  await busyHistory(world, 1)
  await copyCharges(world, http)
  const both = { gateways: [listed(http.url), listed(bank.url, 'bank')] }
  assert.deepEqual(violated(await verifyWorld(world, both)), [])
  // One that was executed at `http` belongs to the bank from here on.
  await world.sql(`update payments set gateway = 'bank' where id = (
    select min(id) from payments where status = 'success' and type <> 'return'
  )`)
  const wrong = await verifyWorld(world, both)
  assert.deepEqual(violated(wrong).toSorted(), ['gateway_missing_here', 'gateway_missing_there'])
  assert.equal(wrong.violations, 2)
})

test('a gateway that cannot be listed is an error, never a clean report', async (t) => {
  const { world, server } = await agreeing(t)
  for (const url of [`${server.url}/nothing`, 'http://127.0.0.1:1', server.url.slice(0, -15)]) {
    await assert.rejects(compare(world, url), GatewayUnreadable)
  }
})

test('the charges of the mock gateway are listed in pages, oldest first', async (t) => {
  const server = await serveMock(t)
  for (let paymentId = 1; paymentId <= 5; paymentId += 1) {
    const order = { userId: 1, amount: BigInt(paymentId), commission: 0n, type: 'deposit' } as const
    server.mock.pay({ ...order, key: `k${paymentId}`, paymentId })
  }
  const seen: number[] = []
  let after: number | null = 0
  while (after !== null) {
    const response = await fetch(`${server.url}/charges?after=${after}&limit=2`)
    // Whatever it answers is compared right here.
    const page = (await response.json()) as {
      data: { payment_id: number; amount: number }[]
      next_after: number | null
    }
    for (const charge of page.data) assert.equal(charge.amount, charge.payment_id / 100)
    seen.push(...page.data.map(({ payment_id: id }) => id))
    after = page.next_after
  }
  assert.deepEqual(seen, [1, 2, 3, 4, 5])
  assert.equal((await fetch(`${server.url}/charges?limit=1001`)).status, 400)
})

/** What a stream was written, as one text. */
function recorder(isTTY = false, hasColors = false) {
  const written: string[] = []
  return {
    isTTY,
    columns: 60,
    hasColors: () => hasColors,
    write: (text: string) => written.push(text),
    text: () => written.join(''),
  }
}

function opened(
  world: TestWorld,
  gatewayUrl: string | null,
  charges: ListCharges | null = null,
): () => Promise<Opened<VerifyCommandWorld>> {
  const { db, clock } = world
  const list = charges ?? (gatewayUrl === null ? null : httpCharges(gatewayUrl))
  const gateways = [{ gateway: 'http', list }]
  return async () => ({ db, clock, shards: 1, gateways, close: async () => undefined })
}

test('a gateway with a list of its own is compared by that, and another URL by its own', async (t) => {
  const { world, server } = await agreeing(t)
  const run = (gateway: true | string, charges: ListCharges) =>
    openAndRun(opened(world, null, charges), { gateway }, { out: recorder(), err: recorder() })
  const unread = () => Promise.reject(new GatewayUnreadable('not to be read'))
  assert.equal(await run(true, httpCharges(server.url)), 0)
  assert.equal(await run(true, async () => ({ charges: [], next: null })), 1)
  assert.equal(await run(true, unread), 2)
  assert.equal(await run(server.url, unread), 0)
})

test('the command ends with 0 for clean books, 1 for violations, 2 when it cannot check', async (t) => {
  const { world, server } = await agreeing(t)
  const run = async (
    options: Parameters<typeof openAndRun>[1],
    url: string | null = server.url,
  ) => {
    const out = recorder()
    const err = recorder()
    const code = await openAndRun(opened(world, url), options, { out, err })
    return { code, out: out.text(), err: err.text() }
  }
  const clean = await run({ gateway: true })
  assert.equal(clean.code, 0)
  assert.match(clean.out, /^The books are right: \d+ payments and 4 users/m)
  assert.match(clean.out, /^settle_missing +\d+ +ok +A\s+successful\s+payment\s+is\s+settled\.$/m)
  assert.match(clean.err, /^Checking payments: \d+ in /m)

  for (const [options, url, told] of [
    [{ gateway: true }, null, /PAYMENT_GATEWAY_URL/],
    [{ gateway: 'ftp://x' }, null, /http/],
    [{ gateway: 'http://127.0.0.1:1' }, null, /GET \/charges/],
    [{ feeFloor: ['0.123'] }, null, /--fee-floor/],
    [{ examples: '0' }, null, /--examples/],
  ] as const) {
    const { code, out, err } = await run(options, url)
    assert.deepEqual([code, out], [2, ''])
    assert.match(err, told)
  }
  const away = await openAndRun(
    () => Promise.reject(new Error('no database')),
    {},
    { out: recorder(), err: recorder() },
  )
  assert.equal(away, 2)

  await world.sql('update users set available = available + 1 where id in (2, 3)')
  const wrong = await run({ examples: '1' })
  assert.equal(wrong.code, 1)
  assert.match(wrong.out, /^balance_available \(critical\), 2 in all:\n  user 2\n\n2 violations: /m)
})

test('the JSON of the command has every rule, and nothing but the JSON', async (t) => {
  const { world, server } = await agreeing(t)
  await world.sql('update users set available = available + 1 where id = 2')
  const out = recorder()
  const streams = { out, err: recorder() }
  const options = { json: true, gateway: server.url }
  assert.equal(await openAndRun(opened(world, null), options, streams), 1)
  // Its fields are compared one by one.
  const report = JSON.parse(out.text()) as Record<string, unknown> & {
    rules: Record<string, unknown>[]
    accounts_minor: Record<string, string>
  }
  const fields =
    'ok scope complete started_at duration_ms longest_statement_ms statements violations checked ' +
    'accounts_minor other_accounts_minor rules'
  assert.deepEqual(Object.keys(report), fields.split(' '))
  assert.deepEqual([report.ok, report.scope, report.violations], [false, 'full', 1])
  const rule = report.rules.find(({ rule: code }) => code === 'balance_available')
  assert.deepEqual(rule, {
    rule: 'balance_available',
    severity: 'critical',
    holds: 'What a user can spend is the sum of the postings.',
    checked: 4,
    violations: 1,
    duration_ms: rule?.duration_ms,
    examples: [{ subject: 'user', id: '2', payment_id: null, user_id: '2', name: 'user 2' }],
  })
  const sum = Object.values(report.accounts_minor).reduce((total, text) => total + BigInt(text), 0n)
  assert.equal(sum, 0n)
})

test('the command reads its options from the command line and sets the exit code', async (t) => {
  const world = await testWorld(t)
  const program = new Command('payments').exitOverride()
  verifyCommand(program, opened(world, null))
  const { exitCode } = process
  t.after(() => (process.exitCode = exitCode))
  const write = t.mock.method(process.stderr, 'write', () => true)
  await program.parseAsync(['node', 'payments', 'verify', '--gateway', '--fee-floor', '0.30'])
  const told = write.mock.calls.map((call) => String(call.arguments[0])).join('')
  write.mock.restore()
  assert.equal(process.exitCode, 2)
  assert.match(told, /--gateway needs PAYMENT_GATEWAY_URL/)
  process.exitCode = exitCode
})

test('progress is a bar on a terminal and lines elsewhere, in colour only where there is any', () => {
  const plain = recorder()
  const bar = progress('Users', 10, plain)
  bar.tick(5)
  bar.done()
  assert.match(plain.text(), /^Users: 5 in 0\.\d s\n$/)
  for (const hasColors of [true, false]) {
    const terminal = recorder(true, hasColors)
    const drawn = progress('Users', 1_000_000, terminal)
    const until = performance.now() + 250
    while (performance.now() < until) drawn.tick(1)
    drawn.done('all right')
    const lines = terminal.text().split('\r\x1b[2K')
    assert.equal(lines.at(-1), 'Users: all right\n')
    assert.equal(terminal.text().includes('\x1b[36m'), hasColors)
    for (const line of lines.slice(1, -1)) {
      assert.ok(line.replaceAll('\x1b[36m', '').replaceAll('\x1b[0m', '').length < 60)
      assert.match(line, /█|░/)
    }
  }
})

test('a set of integers knows what was put in, whatever the integers are', () => {
  const set = integerSet()
  const random = seededRandom(5)
  const known = new Set<bigint>()
  const ids = [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 32n]
  for (let n = 0; n < 20_000; n += 1) ids.push(BigInt(Math.floor(random() * 30_000)) << 20n)
  for (const id of ids) {
    const [high, low] = halves(id)
    assert.equal(set.has(high, low), known.has(BigInt.asUintN(64, id)))
    assert.equal(set.add(high, low), known.has(BigInt.asUintN(64, id)))
    known.add(BigInt.asUintN(64, id))
  }
  assert.equal(set.size, known.size)
})
