import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const modules = ['signals', 'closing'].map((name) => {
  return new URL(`../src/process/${name}.ts`, import.meta.url).href
})

/** A process that says what its end is, begun by `begin`, while `close` is what it owes. */
function ended({ begin, close = '' }: { readonly begin: string; readonly close?: string }) {
  const [signals, closing] = modules
  const source = `
    const { endInOrder } = await import(${JSON.stringify(signals)})
    const { closing } = await import(${JSON.stringify(closing)})
    const say = (_, text) => console.log(typeof _ === 'string' ? _ : text)
    const log = { info: say, error: say }
    const stops = closing()
    const end = endInOrder(60_000, log, stops)
    const alive = setInterval(() => undefined, 1_000)
    stops.push(async () => { console.log('closed'); ${close} })
    ${begin}`
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', source]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const lines = stdout.split('\n').filter(Boolean)
  return { status, closed: lines.filter((line) => line === 'closed').length, lines, stderr }
}

test('a process that was asked to end closes what it owes and ends with 0', () => {
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const { status, closed, lines } = ended({ begin: `process.emit('${signal}', '${signal}')` })
    assert.deepEqual([status, closed, lines.at(-1)], [0, 1, 'stopped'], lines.join())
  }
})

test('a process that ends because something is lost says so, closes what it owes and ends with 1', () => {
  const { status, closed, stderr } = ended({ begin: `end.failed(new Error('the lock is lost'))` })
  assert.deepEqual([status, closed, stderr], [1, 1, 'the lock is lost\n'])
})

test('what cannot be closed ends a process with 1, whoever asked', () => {
  const close = `throw new Error('it hangs')`
  const { status, lines } = ended({ begin: `process.emit('SIGTERM', 'SIGTERM')`, close })
  assert.deepEqual([status, lines.at(-1)], [1, 'stopping failed'])
})

test('a second signal ends a process at once, and a loss while it ends changes nothing', () => {
  const twice = `process.emit('SIGTERM', 'SIGTERM'); process.emit('SIGINT', 'SIGINT')`
  const never = 'await new Promise(() => undefined)'
  assert.equal(ended({ begin: twice, close: never }).status, 1)
  const lost = `process.emit('SIGTERM', 'SIGTERM'); end.failed(new Error('lost'))`
  const { status, closed, stderr } = ended({ begin: lost })
  assert.deepEqual([status, closed, stderr], [0, 1, ''])
})
