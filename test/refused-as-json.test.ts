import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './programs.ts'
import { testWorld } from './harness.ts'

type Said = Readonly<Record<string, unknown>>

test('with --json a command that is refused says why as one object on stderr, and nothing on stdout', async (t) => {
  const world = await testWorld(t)
  const env = { DATABASE_URL: world.url }
  const cases: readonly (readonly [args: string[], exit: number, code: string])[] = [
    [['webhooks', 'show', '9'], 1, 'endpoint_not_found'],
    [
      ['webhooks', 'create', '--types', 'payment.*', '--url', 'http://shop.example'],
      1,
      'url_refused',
    ],
    [['webhooks', 'create'], 2, 'call_invalid'],
    [['webhooks', 'replay', 'x'], 2, 'call_invalid'],
    [
      ['webhooks', 'replay', '1', '--snapshot', '1', '--undelivered', '--reason', 'r', '--yes'],
      2,
      'call_invalid',
    ],
    [['redrive', '--yes'], 2, 'call_invalid'],
    [['payment', '9'], 1, 'payment_not_found'],
    [['users', 'show', '9'], 1, 'user_not_found'],
    [['keys', 'revoke', 'nobody'], 1, 'key_not_found'],
    [['verify', '--examples', 'x'], 2, 'call_invalid'],
  ]
  for (const [args, exit, code] of cases) {
    const ended = await run(t, [...args, '--json'], env)
    assert.deepEqual([ended.code, ended.stdout], [exit, ''], args.join(' '))
    const said = JSON.parse(ended.stderr) as Said
    assert.deepEqual([said['code'], said['exit_code']], [code, exit], ended.stderr)
    assert.match(String(said['detail']), /^\S.*\S$/s)
    const told = await run(t, args, env)
    assert.equal(told.code, exit, 'the exit code is the same without it')
    assert.throws(() => JSON.parse(told.stderr) as Said)
  }
  const about = await run(t, [...(cases[1]?.[0] ?? []), '--json'], env)
  assert.equal((JSON.parse(about.stderr) as Said)['about'], 'not_https')
})

test('a database that cannot be reached and settings that are wrong are said as JSON, too', async (t) => {
  for (const [env, exit, code] of [
    [{ DATABASE_URL: 'postgresql://x@127.0.0.1:1/none' }, 1, 'failed'],
    [
      { DATABASE_URL: 'postgresql://x@127.0.0.1:1/none', SHARDS: 'many' },
      2,
      'configuration_invalid',
    ],
  ] as const) {
    const ended = await run(t, ['webhooks', 'list', '--json'], env)
    const last = JSON.parse(ended.stderr.trim().split('\n').at(-1) ?? '') as Said
    assert.deepEqual([ended.code, ended.stdout, last['code']], [exit, '', code])
  }
})
