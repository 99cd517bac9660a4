import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { holderOf, takeOwnership } from '../src/adapters/file-owner.ts'
import { range, temporaryFolder } from './process-kit.ts'

const MODULE = new URL('../src/adapters/file-owner.ts', import.meta.url).href

/** A process that tries to become the owner of a file, says what came of it, and stays. */
async function contender(t: TestContext, path: string) {
  const program = `
    const { takeOwnership } = await import(${JSON.stringify(MODULE)})
    try {
      takeOwnership(${JSON.stringify(path)})
      console.log('owner')
    } catch (error) {
      console.log(error.message)
    }
    setInterval(() => undefined, 60_000)`
  const flags = ['--import', 'tsx', '--input-type=module', '--eval', program]
  const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, says: line.toString().trim() }
}

test('of processes that want one file at once, one has it, and after its death one of the others', async (t) => {
  const path = join(await temporaryFolder(t), 'journal')
  const first = await Promise.all(range(4).map(() => contender(t, path)))
  const owners = first.filter(({ says }) => says === 'owner')
  assert.equal(owners.length, 1)
  const [owner] = owners
  const { pid } = owner?.child ?? {}
  assert.equal(holderOf(path), pid)
  for (const { says } of first.filter((one) => one !== owner)) {
    assert.equal(says, `${path} belongs to process ${pid}, which runs`)
  }

  owner?.child.kill('SIGKILL')
  await once(owner?.child ?? process, 'exit')
  assert.equal(holderOf(path), null)
  const second = await Promise.all(range(4).map(() => contender(t, path)))
  assert.equal(second.filter(({ says }) => says === 'owner').length, 1)
})

test('an owner that lets go is followed at once, and a process id alone proves nothing', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'journal')
  const first = takeOwnership(path)
  assert.throws(() => takeOwnership(path), /belongs to process \d+, which runs/)
  first.release()
  assert.equal(holderOf(path), null)

  const second = takeOwnership(path)
  const [file = ''] = (await fs.readdir(folder)).filter((name) => name.includes('owner'))
  const text = await fs.readFile(join(folder, file), 'utf8')
  // This process, had it been started at another time: another one that was given its id.
  await fs.writeFile(join(folder, file), text.replace(/ \d+ /, ' 1 '))
  if (process.platform === 'linux') takeOwnership(path).release()
  second.release()
})

test('no number of an owner is given twice, also after one that let go', async (t) => {
  const folder = await temporaryFolder(t)
  const path = join(folder, 'journal')
  // Whoever has seen that a number is over makes the next one: nobody else may have it by then.
  for (const number of [1, 2, 3]) {
    takeOwnership(path).release()
    assert.deepEqual(await fs.readdir(folder), [`journal.owner-${number}`])
  }
})
