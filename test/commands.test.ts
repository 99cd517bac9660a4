import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyDatabase, range, run } from './process-kit.ts'

test('the commands explain themselves', async (t) => {
  const { code, stdout } = await run(t, ['--help'])
  assert.equal(code, 0)
  const commands = [...stdout.matchAll(/^ {2}([a-z][a-z-]+)/gm)].map(([, name]) => name ?? '')
  for (const name of ['start', 'api', 'worker', 'mock-gateway', 'migrate']) {
    assert.ok(commands.includes(name), name)
  }
  const helps = await Promise.all(commands.map((name) => run(t, [name, '--help'])))
  for (const [index, help] of helps.entries()) {
    assert.equal(help.code, 0, commands[index])
    if (commands[index] !== 'help') assert.match(help.stdout, /^Usage: payments/)
  }
})

test('production refuses everything unsafe at once', async (t) => {
  const { code, stdout, stderr } = await run(t, ['start'], { APP_ENV: 'production' })
  assert.equal(code, 2)
  assert.equal(stdout, '')
  for (const name of ['DATABASE_URL', 'PAYMENT_GATEWAY_URL']) {
    assert.match(stderr, new RegExp(`^  - ${name} must .*\\(production\\)$`, 'm'))
  }
})

test('all mistakes of a configuration are reported at once, without secrets', async (t) => {
  const { code, stderr } = await run(t, ['api'], {
    PORT: '80000',
    TRANSACTION_FEE: 'two',
    GATEWAY_MAX_ATTEMPTS: '0',
    DATABASE_URL: 'mysql://root:hunter2@db/payments',
  })
  assert.equal(code, 2)
  for (const name of ['PORT', 'TRANSACTION_FEE', 'GATEWAY_MAX_ATTEMPTS', 'DATABASE_URL']) {
    assert.match(stderr, new RegExp(`^  - ${name} must be `, 'm'))
  }
  assert.doesNotMatch(stderr, /hunter2|\bat .*\.js:/)
})

test('a command that does not exist, or a role without a database, is misuse', async (t) => {
  const [unknown, single] = await Promise.all([run(t, ['strat']), run(t, ['worker'])])
  assert.notEqual(unknown.code, 0)
  assert.match(unknown.stderr, /^error: /)
  assert.equal(single.code, 2)
  assert.match(single.stderr, /DATABASE_URL must be set/)
})

interface Migration {
  readonly name: string
  readonly appliedAt: string | null
}

test('processes that migrate an empty database together apply each migration once', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t) }
  const status = async () => {
    const { code, stdout } = await run(t, ['migrate', '--status', '--json'], env)
    assert.equal(code, 0)
    return JSON.parse(stdout) as Migration[]
  }
  const pending = await status()
  assert.ok(pending.length > 0 && pending.every(({ appliedAt }) => appliedAt === null))

  const runs = await Promise.all(range(4).map(() => run(t, ['migrate', '--json'], env)))
  for (const { code, stderr } of runs) assert.equal(code, 0, stderr)
  const results = runs.map(({ stdout }) => JSON.parse(stdout) as { applied: string[] })
  const names = pending.map(({ name }) => name)
  assert.deepEqual(results.flatMap(({ applied }) => applied).toSorted(), names)
  assert.ok((await status()).every(({ appliedAt }) => appliedAt !== null))
})

test('a mock gateway alone does not run beside a real gateway', async (t) => {
  const env = { PAYMENT_GATEWAY_URL: 'https://gateway.example.com/v2', MOCK_GATEWAY_PORT: '0' }
  const { code, stdout, stderr } = await run(t, ['mock-gateway'], env)
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /PAYMENT_GATEWAY_URL must be unset for a mock gateway alone/)
})
