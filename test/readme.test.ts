import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { temporaryFolder, until } from './process-kit.ts'
import { powerCut } from './programs.ts'
import { fencesOf, README, sameAsShown, stepsOf, type Step } from './readme.ts'
import { ROOT } from './sources.ts'

const KEY = 'YSBzZWNyZXQgZm9yIGRldmVsb3BtZW50'
const missing = ['bash', 'git', 'curl'].filter((tool) => spawnSync(tool, ['--version']).error)
const noShell = missing.length > 0 && `there is no ${missing.join(' and no ')} here`

test(
  'the README works as it stands, from top to bottom, in an empty folder',
  { skip: noShell },
  async (t) => {
    const folder = await temporaryFolder(t)
    const [port, hook] = [await freePort(), await freePort()]
    const shell = openShell(t, folder, port)
    const url = await repository(folder)
    const here = (text: string) =>
      text
        .replace('<url of this repository>', url)
        .replaceAll(':8000/', `:${port}/`)
        .replace(/\b3000\b/g, String(hook))
    const steps = stepsOf(README)
    assert.ok(steps.length >= 15, String(steps.length))
    for (const step of steps) {
      await carryOut(shell, { ...step, commands: step.commands.map(here) })
    }
    // Ctrl-C stops it, the data stays, and a copy of the example settings changes nothing.
    await pressControlC(shell)
    await start(shell)
    const { output } = await shell.run(`curl -s http://localhost:${port}/api/v1/users/1`)
    assert.equal((JSON.parse(output) as { id: number }).id, 1)
    await pressControlC(shell)
  },
)

test('commands that the README only offers are those that there are', () => {
  const { scripts } = JSON.parse(fs.readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const offered = fencesOf(README).filter(({ kind }) => kind === 'sh')
  const names = offered.flatMap(({ text }) => [...text.matchAll(/npm (?:run )?([a-z:]+)/g)])
  assert.ok(names.length >= 6, String(names.length))
  for (const [, name = ''] of names) assert.ok(name in scripts, name)
})

test('the receiver of the README does not start without a secret, or anybody could sign', () => {
  const receiver = join(ROOT, 'examples', 'receiver.mjs')
  for (const given of [[], ['3000'], ['3000', ''], ['3000', 'whsec_'], ['hook', `whsec_${KEY}`]]) {
    const options = { encoding: 'utf8', timeout: 10_000 } as const
    const { status, stderr } = spawnSync(process.execPath, [receiver, ...given], options)
    assert.equal(status, 2, given.join(' '))
    assert.match(stderr, /^Usage: node examples\/receiver\.mjs <port> <whsec_…>/)
  }
})

/** The checkout as it is, uncommitted changes included, as a repository to be cloned. */
async function repository(folder: string): Promise<string> {
  const source = join(folder, 'source')
  const git = (cwd: string, ...args: string[]) => {
    const done = spawnSync('git', ['-c', 'safe.directory=*', ...args], { cwd, encoding: 'utf8' })
    assert.equal(done.status, 0, `git ${args.join(' ')}: ${done.stderr}`)
    return done.stdout
  }
  const files = git(ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  for (const file of files.split('\0').filter((name) => name !== '')) {
    // What was deleted and not committed yet is still in the list.
    if (fs.existsSync(join(ROOT, file))) fs.cpSync(join(ROOT, file), join(source, file))
  }
  git(source, 'init', '--quiet')
  git(source, 'add', '--all')
  const author = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com']
  git(source, ...author, 'commit', '--quiet', '--message', 'As it is')
  return source
}

/** A bash that runs one command after the other. */
interface Shell {
  run(command: string): Promise<{ readonly output: string; readonly code: number }>
  /** What the service has said so far. */
  log(): string
  /** What the program that was started last in a terminal of its own has said so far. */
  terminal(): string
  /** The file for what one more of them says. */
  openTerminal(): string
  /** A process group that ends with the test. */
  owns(group: number): void
}

function openShell(t: TestContext, folder: string, port: number): Shell {
  const log = join(folder, 'start.log')
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: folder,
    LOG: log,
    PORT: String(port),
    // The first three charges go well.
    MOCK_GATEWAY_SEED: '5',
    // A busy machine is no slow gateway.
    GATEWAY_TIMEOUT_SECONDS: '30',
    WORKER_PROCESSING_TIMEOUT_SECONDS: '100',
  }
  // A group of its own, so that nothing it starts outlives the test.
  const bash = spawn('bash', ['--noprofile', '--norc'], { cwd: folder, env, detached: true })
  let [stdout, stderr] = ['', '']
  bash.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  bash.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const closed = once(bash, 'close')
  // Should the test be ended from outside, its shell reads no further, and takes the service along.
  bash.stdin.write(`trap 'kill -- "-$SERVER" 2> /dev/null' EXIT\n`)
  const groups = [bash.pid ?? 0]
  let terminals = 0
  t.after(async () => {
    groups.forEach(endGroup)
    await closed
    await powerCut(join(folder, 'payments', '.data'))
  })
  return {
    owns: (group) => void groups.push(group),
    terminal: () => fs.readFileSync(join(folder, `terminal-${terminals}.log`), 'utf8'),
    openTerminal: () => {
      terminals += 1
      return join(folder, `terminal-${terminals}.log`)
    },
    log: () => (fs.existsSync(log) ? fs.readFileSync(log, 'utf8') : ''),
    async run(command) {
      stdout = ''
      const mark = randomUUID()
      bash.stdin.write(`${command}\necho "${mark} $?"\n`)
      const end = new RegExp(`${mark} (\\d+)\n`)
      const match = await until(`${command} ends: ${stderr}`, () => end.exec(stdout))
      return { output: stdout.slice(0, match.index), code: Number(match[1]) }
    },
  }
}

function endGroup(group: number): void {
  try {
    // Group 0 would be our own.
    if (group > 0) process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** Do what a step says, and compare. What is only read may take a while to be as shown. */
async function carryOut(shell: Shell, step: Step): Promise<void> {
  const { name, commands, shown } = step
  const reads = commands.every((command) => /^curl (?!.*-X)/s.test(command)) && shown.length > 0
  let failure: unknown = null
  const done = await until(`${name} is as shown`, async () => {
    const outputs: string[] = []
    for (const command of commands) outputs.push(await carryOutOne(shell, command))
    if (commands.length === 0) outputs.push(shell.terminal())
    try {
      const last = outputs.slice(-shown.length)
      shown.forEach((one, index) => sameAsShown(one, last[index] ?? ''))
      return true
    } catch (error) {
      failure = error
      return reads ? null : 'wrong'
    }
  }).catch(() => 'wrong')
  if (done !== true)
    throw new Error(`${name}: ${String(failure)}\n${shell.log()}`, { cause: failure })
  if (commands.length === 0) await endTerminals(shell)
}

async function carryOutOne(shell: Shell, command: string): Promise<string> {
  if (command === 'npm start') return start(shell)
  if (GOES_ON.test(command)) return startTerminal(shell, command)
  const { output, code } = await shell.run(command)
  assert.equal(code, 0, `${command}\n${output}`)
  if (command.startsWith('cd ')) install((await shell.run('pwd')).output.trim())
  return output
}

/** Programs that go on until Ctrl-C, each in a terminal of its own. */
const GOES_ON = /^node examples\/|webhooks listen /

async function startTerminal(shell: Shell, command: string): Promise<string> {
  const { output: pid } = await shell.run(
    `set -m; ${command} < /dev/null > ${shell.openTerminal()} 2>&1 & set +m; echo $!`,
  )
  await shell.run(`TERMINALS="$TERMINALS ${pid.trim()}"`)
  shell.owns(Number(pid))
  return until(`${command} says that it is ready`, () => shell.terminal() || null)
}

/** Ctrl-C in each of those terminals: as the page says, that ends what runs there. */
async function endTerminals(shell: Shell): Promise<void> {
  await shell.run('for one in $TERMINALS; do kill -INT -- "-$one"; wait "$one"; done; TERMINALS=')
}

/**
 * As after an installation that somebody has made before: this machine may be offline. Each package
 * is a link of its own, so that whoever deletes the folder does not delete ours.
 */
function install(checkout: string): void {
  const [ours, theirs] = [ROOT, checkout].map((root) => join(root, 'node_modules')) as [
    string,
    string,
  ]
  fs.mkdirSync(theirs)
  for (const name of fs.readdirSync(ours)) {
    if (name.startsWith('.payments')) continue
    fs.symlinkSync(join(ours, name), join(theirs, name))
  }
  const lock = createHash('sha256').update(fs.readFileSync(join(checkout, 'package-lock.json')))
  fs.writeFileSync(join(theirs, '.payments-lock-hash'), lock.digest('hex'))
}

/** What the terminal does at Ctrl-C: everything that `npm start` started gets the signal. */
async function pressControlC(shell: Shell): Promise<void> {
  await shell.run('kill -INT -- "-$SERVER"; wait "$SERVER"')
  await until(`the service has stopped: ${shell.log()}`, async () => {
    const { code } = await shell.run('kill -0 -- "-$SERVER" 2> /dev/null')
    return code === 0 ? null : true
  })
}

/** `npm start` in the first terminal, while the commands go into another one. */
async function start(shell: Shell): Promise<string> {
  // With job control it has a process group of its own, as in a terminal.
  const { output: pid } = await shell.run(
    'set -m; npm start < /dev/null > "$LOG" 2>&1 & SERVER=$!; set +m; echo "$SERVER"',
  )
  shell.owns(Number(pid))
  return until(`the service is ready: ${shell.log()}`, async () => {
    const { output } = await shell.run('kill -0 "$SERVER" 2>&1')
    assert.equal(output, '', shell.log())
    return / is ready$/m.test(shell.log()) ? '' : null
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
