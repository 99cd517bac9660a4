import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cloneDatabase, emptyDatabase, query } from './databases.ts'
import { range, temporaryFolder } from './process-kit.ts'
import { dataFolder, run, runTool, start } from './programs.ts'

test('the commands explain themselves', async (t) => {
  const { code, stdout } = await run(t, ['--help'])
  assert.equal(code, 0)
  const commands = [...stdout.matchAll(/^ {2}([a-z][a-z-]+)/gm)].map(([, name]) => name ?? '')
  for (const name of ['start', 'api', 'worker', 'mock-gateway', 'migrate']) {
    assert.ok(commands.includes(name), name)
  }
  const helps = await Promise.all(commands.map((name) => run(t, [name, '--help'])))
  const tools = await Promise.all(
    (['load', 'demo'] as const).map((name) => runTool(t, name, ['--help'])),
  )
  for (const [index, help] of [...helps, ...tools].entries()) {
    assert.equal(help.code, 0, commands[index])
    if (commands[index] !== 'help') assert.match(help.stdout, /^Usage: (payments|npm run \w+ --)/)
    for (const line of help.stdout.split('\n')) assert.ok(line.length <= 80, line)
    // Defaults are shown as people type them.
    assert.doesNotMatch(help.stdout, /default: ["[]/)
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

test('a role without a database is misuse', async (t) => {
  const { code, stderr } = await run(t, ['worker'])
  assert.equal(code, 2)
  assert.match(stderr, /DATABASE_URL must be set/)
})

const MISUSE: readonly (readonly [args: string[], says: RegExp])[] = [
  [['strat'], /^error: unknown command 'strat'\n\(Did you mean start\?\)/],
  [['xyzzy'], /^error: unknown command 'xyzzy'\n/],
  [['start', 'now'], /^error: too many arguments for 'start'/],
  [['--nonsense'], /^error: unknown option '--nonsense'/],
  [['verify', '--nonsense'], /^error: unknown option '--nonsense'/],
  [['keys', 'create'], /^error: required option '--name <name>' not specified/],
  [['keys', 'creat'], /^error: unknown command 'creat'/],
  [['keys', 'create', '--name', 'x', '--scopes', 'all'], /Unknown scope: all/],
  [['redrive', '--rate', 'fast'], /^error: .*It is a whole number/],
  [['payment'], /^error: missing required argument 'id'/],
  [['cancel', '7'], /^error: required option '--reason <text>' not specified/],
  [['payment', 'seven'], /^error: .*It is a whole number of at most 15 digits/],
]

/** The same of the tools of this repository. */
const TOOLS_MISUSED: readonly (readonly [tool: 'load' | 'demo', args: string[], says: RegExp])[] = [
  ['load', ['nonsense'], /^error: .*It is not a URL/],
  ['load', ['--nonsense'], /^error: unknown option '--nonsense'/],
  ['demo', ['--payments', '0'], /^error: .*It is a whole number/],
]

test('a wrong call ends with 2, which no command uses for anything else', async (t) => {
  for (const [args, says] of MISUSE) {
    const { code, stdout, stderr } = await run(t, args)
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.match(stderr, says)
  }
  for (const [tool, args, says] of TOOLS_MISUSED) {
    const { code, stdout, stderr } = await runTool(t, tool, args)
    assert.equal(code, 2, `${tool} ${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.match(stderr, says)
  }
})

/** The tools that work on the service's own database. */
const TOOLS: readonly string[][] = [
  ['migrate'],
  ['migrate', '--dry-run'],
  ['verify'],
  ['keys', 'list'],
  ['keys', 'create', '--name', 'x'],
  ['redrive', '--dry-run'],
  ['payment', '1'],
  ['cancel', '1', '--reason', 'x'],
]

test('a tool without DATABASE_URL and without data refuses, and makes nothing', async (t) => {
  const folder = join(await temporaryFolder(t), 'data')
  for (const args of TOOLS) {
    const { code, stderr } = await run(t, args, { DATA_DIR: folder })
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, /DATABASE_URL must be set: .* holds no embedded database/)
  }
  assert.equal(existsSync(folder), false)
})

test('migrate --embedded makes the embedded database, and the tools then use it', async (t) => {
  const env = { DATA_DIR: await dataFolder(t) }
  const made = await run(t, ['migrate', '--embedded'], env)
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /^Now at \d{4}_/m)
  const key = await run(t, ['keys', 'create', '--name', 'first', '--json'], env)
  assert.equal(key.code, 0, key.stderr)
  assert.match(key.stdout, /^\{.*"token":"pay_/)
})

const TABLES = `
  select count(*)::int as count from information_schema.tables where table_schema = 'public'`

test('tools change nothing in a database with an older schema: they say what to do', async (t) => {
  const url = await emptyDatabase(t)
  const env = { DATABASE_URL: url }
  for (const args of TOOLS.filter(([name]) => name !== 'migrate')) {
    const { code, stderr } = await run(t, args, env)
    assert.ok(code === 1 || (code === 2 && args[0] === 'verify'), `${args.join(' ')}: ${code}`)
    assert.match(stderr, /no tables of this service yet\. Run `payments migrate` first/)
  }
  assert.deepEqual(await query(url, TABLES), [{ count: 0 }])
})

test('migrate --dry-run names what would be applied and changes nothing', async (t) => {
  const url = await emptyDatabase(t)
  const dry = await run(t, ['migrate', '--dry-run'], { DATABASE_URL: url })
  assert.equal(dry.code, 0, dry.stderr)
  assert.match(dry.stdout, /^Would apply 0001_initial\n/)
  assert.match(dry.stdout, /^The database is without tables; nothing was changed\.$/m)
  assert.deepEqual(await query(url, TABLES), [{ count: 0 }])
})

test('a tool with another number of shards than the database refuses', async (t) => {
  const url = await cloneDatabase(t)
  await query(url, `insert into settings (name, value) values ('shards', '4')`)
  const verified = await run(t, ['verify'], { DATABASE_URL: url })
  assert.equal(verified.code, 2)
  assert.match(verified.stderr, /made with SHARDS=4 and cannot be used with SHARDS=1: set SHARDS=4/)
  const listed = await run(t, ['keys', 'list'], { DATABASE_URL: url })
  assert.equal(listed.code, 1)
  assert.match(listed.stderr, /set SHARDS=4/)
})

test('a reader that goes away is no error', async (t) => {
  const env = { DATABASE_URL: await cloneDatabase(t) }
  const { child, ended } = await start(t, ['keys', 'list'], env)
  child.stdout.destroy()
  const { code, stderr } = await ended
  assert.equal(stderr, '')
  assert.equal(code, 0)
})

test('a service that cannot be reached is a sentence that names the option', async (t) => {
  const gone = 'http://nowhere.invalid:9'
  const env = { DATABASE_URL: await cloneDatabase(t) }
  const cases = await Promise.all([
    runTool(t, 'load', [gone, '--yes']),
    runTool(t, 'demo', ['--url', gone]),
    run(t, ['verify', '--gateway', gone], env),
  ])
  for (const { code, stderr } of cases) {
    assert.ok(code === 1 || code === 2, stderr)
    assert.match(stderr, /nowhere\.invalid/)
    assert.doesNotMatch(stderr, /fetch failed$|\bat .*\.[jt]s:/m)
  }
  assert.match(cases[2]?.stderr ?? '', /--gateway/)
})

interface Migration {
  readonly name: string
  readonly applied_at: string | null
}

test('processes that migrate an empty database together apply each migration once', async (t) => {
  const env = { DATABASE_URL: await emptyDatabase(t) }
  const status = async () => {
    const { code, stdout } = await run(t, ['migrate', '--status', '--json'], env)
    assert.equal(code, 0)
    return JSON.parse(stdout) as Migration[]
  }
  const pending = await status()
  assert.ok(pending.length > 0 && pending.every(({ applied_at }) => applied_at === null))

  const runs = await Promise.all(range(4).map(() => run(t, ['migrate', '--json'], env)))
  for (const { code, stderr } of runs) assert.equal(code, 0, stderr)
  const results = runs.map(({ stdout }) => JSON.parse(stdout) as { applied: string[] })
  const names = pending.map(({ name }) => name)
  assert.deepEqual(results.flatMap(({ applied }) => applied).toSorted(), names)
  assert.ok((await status()).every(({ applied_at }) => applied_at !== null))
})

test('a mock gateway alone does not run beside a real gateway', async (t) => {
  const env = { PAYMENT_GATEWAY_URL: 'https://gateway.example.com/v2', MOCK_GATEWAY_PORT: '0' }
  const { code, stdout, stderr } = await run(t, ['mock-gateway'], env)
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /PAYMENT_GATEWAY_URL must be unset for a mock gateway alone/)
})

test('a worker asks for the address of each gateway that it has, and of no other', async (t) => {
  const bank = {
    GATEWAYS: 'bank',
    GATEWAY_BANK_DRIVER: 'http',
    GATEWAY_BANK_URL: 'https://bank.test',
  }
  for (const [names, asked] of [
    ['bank', false],
    ['bank,http', true],
  ] as const) {
    const { code, stdout, stderr } = await run(t, ['worker'], { ...bank, GATEWAYS: names })
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, /DATABASE_URL must be set/)
    assert.equal(/PAYMENT_GATEWAY_URL must be set/.test(stderr), asked, names)
  }
})
