import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { turnGateway } from '../tools/client.ts'
import { API, CALM, get, MOCK, post, temporaryFolder, until } from './process-kit.ts'
import { dataFolder, launch, powerCut, run } from './programs.ts'

/** What is in doubt stays so for longer than this test takes. */
const PATIENT = {
  GATEWAY_BACKOFF_BASE_SECONDS: '600',
  GATEWAY_BACKOFF_MAX_SECONDS: '600',
}

async function paid(url: string, body: object): Promise<string> {
  const kind = 'deposit' in body ? 'deposit' : 'withdraw'
  const { json, text } = await post(`${url}${API}/payments/${kind}`, body)
  assert.ok(json['payment_id'], text)
  return String(json['payment_id'])
}

async function untilSuccess(url: string, id: string): Promise<void> {
  await until(`${id} has succeeded`, async () => {
    const { status } = await get<{ status: string }>(`${url}${API}/payments/${id}`)
    return status === 'success'
  })
}

/** Ask until the gateway has executed so many charges. */
async function untilExecuted(gateway: string, count: number): Promise<void> {
  await until(`${count} are executed`, async () => {
    const { executed } = await get<{ executed: number }>(`${gateway}${MOCK}/audit`)
    return executed === count
  })
}

/** Lose the machine: the service dies, its database dies, and the disk is empty. */
async function loseDisk(folder: string, end: () => Promise<unknown>) {
  await end()
  await powerCut(folder)
  for (const name of await fs.readdir(folder)) {
    await fs.rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
  }
}

interface Recovered {
  readonly recovered: boolean
  readonly told_count: number
  readonly lost: readonly { readonly payment_id: string; readonly type: string }[]
}

interface World {
  readonly gateway: string
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * Live until the disk is lost: payments before a backup, one that was executed and not told at its
 * moment, and payments after it.
 */
async function firstLife(t: TestContext, { gateway, folder, env }: World) {
  const first = await launch(t, 'start', env)
  const opened = await post(`${first.url}${API}/users`, { balance: 100 })
  const user = Number(opened.json['id'])
  const pay = (fields: object) => paid(first.url, { user_id: user, ...fields })
  const kept = [await pay({ deposit: 10 }), await pay({ amount: 5 })]
  for (const id of kept) await untilSuccess(first.url, id)
  await turnGateway(gateway + MOCK, { ...CALM, reset_after: 1 })
  const told = await pay({ amount: 7 })
  await untilExecuted(gateway, 3)

  const to = join(await temporaryFolder(t), 'backup')
  const backup = await run(t, ['backup', '--to', to, '--json'], env)
  assert.equal(backup.code, 0, backup.stderr)
  await turnGateway(gateway + MOCK, { ...CALM, reset_after: 0 })
  const lost = [await pay({ deposit: 20 }), await pay({ amount: 30 })]
  for (const id of lost) await untilSuccess(first.url, id)
  await loseDisk(folder, () => first.end('SIGKILL'))
  return { user, kept, told, to, lost }
}

/** Live on, and prove that the books are right but for what was lost. */
async function secondLife(
  t: TestContext,
  { gateway, env }: World,
  { user, kept, told, lost }: Awaited<ReturnType<typeof firstLife>>,
): Promise<void> {
  const second = await launch(t, 'start', env)
  // What was open at the moment of the backup is asked about, and not executed a second time.
  for (const id of [told, ...kept]) await untilSuccess(second.url, id)
  const next = await paid(second.url, { user_id: user, deposit: 1 })
  await untilSuccess(second.url, next)
  assert.ok(BigInt(next) > 1_000_000n, next)
  const audit = await get<{ executed: number; charged_twice_count: number }>(
    `${gateway}${MOCK}/audit`,
  )
  assert.deepEqual([audit.executed, audit.charged_twice_count], [6, 0])
  const verified = await run(t, ['verify'], env)
  assert.equal(verified.code, 0, verified.stdout)
  const compared = await run(t, ['verify', '--gateway', '--json'], env)
  const { rules } = JSON.parse(compared.stdout) as {
    rules: { rule: string; violations: number; examples: { payment_id: string }[] }[]
  }
  const wrong = rules.filter(({ violations }) => violations > 0)
  assert.deepEqual(
    wrong.map(({ rule, examples }) => [rule, examples.map((one) => one.payment_id).toSorted()]),
    [['gateway_missing_here', lost.toSorted()]],
  )
}

test('a lost disk comes back from a backup, and nothing starts before what it lacks is known', async (t) => {
  const { url: gateway } = await launch(t, 'mock-gateway')
  await turnGateway(gateway + MOCK, CALM)
  const folder = await dataFolder(t)
  const env = { DATA_DIR: folder, PAYMENT_GATEWAY_URL: gateway + MOCK, ...PATIENT }
  const world = { gateway, folder, env }
  const life = await firstLife(t, world)
  const restored = await run(t, ['restore', '--from', life.to], env)
  assert.equal(restored.code, 0, restored.stderr)
  const refused = async (args: string[]) => {
    const { code, stderr } = await run(t, args, env)
    assert.equal(code, 1, args.join(' '))
    assert.match(stderr, /was restored to \d.*run `payments recover` first/)
  }
  await refused(['start'])
  await refused(['redrive', '--dry-run'])

  const found = await run(t, ['recover', '--json'], env)
  assert.equal(found.code, 1, found.stderr)
  const said = JSON.parse(found.stdout) as Recovered
  assert.deepEqual([said.recovered, said.told_count], [false, 1])
  const [deposit, payout] = life.lost
  assert.deepEqual(
    said.lost.map(({ payment_id: id, type }) => `${id} ${type}`).toSorted(),
    [`${deposit} deposit`, `${payout} withdraw`].toSorted(),
  )

  const words = ['--accept-losses', '--reason', 'Booked by hand, ticket 12']
  const accepted = await run(t, ['recover', ...words], env)
  assert.equal(accepted.code, 0, accepted.stderr)
  for (const id of life.lost) assert.match(accepted.stdout, new RegExp(`payment ${id}: `))
  assert.match(accepted.stdout, /The database can be used\./)
  assert.match((await run(t, ['recover'], env)).stdout, /^Nothing to do/)
  await secondLife(t, world, life)
})
