import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder, until } from './process-kit.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** A run of a test that never ends, in a folder of its own, and what it has started. */
async function endlessRun(t: TestContext, flags: readonly string[] = []) {
  const folder = await temporaryFolder(t)
  const { PATH = '' } = process.env
  const args = ['scripts/test.mjs', ...flags, 'test/fixtures/endless.ts']
  const runner = spawn(process.execPath, args, { cwd: ROOT, env: { PATH, TMPDIR: folder } })
  let output = ''
  runner.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  runner.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = once(runner, 'close')
  t.after(() => runner.kill('SIGKILL'))
  const endless = await until('the test runs', () => {
    assert.equal(runner.exitCode, null, output)
    return /endless process (\d+)/.exec(output)?.[1]
  }).then(Number)
  // The cache of a compiler may be there as well.
  const runs = async () => (await fs.readdir(folder)).filter((name) => name.startsWith('payments-'))
  const [run = ''] = await runs()
  const lock = join(folder, run, 'data', 'pg18', 'postmaster.pid')
  const postmaster = Number((await fs.readFile(lock, 'utf8')).split('\n', 1)[0])
  return {
    runner,
    ended,
    output: () => output,
    running: () => [endless, postmaster].filter(alive).length,
    async nothingIsLeft() {
      await until('all processes are gone', () => !alive(endless) && !alive(postmaster))
      await until('all files are gone', async () => (await runs()).length === 0)
    },
  }
}

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`a test run that ${signal} cuts short leaves no process and no file behind`, async (t) => {
    if (process.platform === 'win32') return t.skip('there are no process groups')
    const run = await endlessRun(t)
    assert.equal(run.running(), 2)
    run.runner.kill(signal)
    await run.ended
    await run.nothingIsLeft()
  })
}

test('a test that hangs fails with its name when its time is over, and nothing is left', async (t) => {
  const run = await endlessRun(t, ['--test-timeout=10000'])
  await run.ended
  assert.equal(run.runner.exitCode, 1)
  assert.match(run.output(), /timed out after 10000ms/)
  assert.match(run.output(), /^Never ended, in .*endless\.ts:\n {2}it never ends$/m)
  await run.nothingIsLeft()
})
