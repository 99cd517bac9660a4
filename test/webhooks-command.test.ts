import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { feed } from '../src/events/feed.ts'
import { until } from './process-kit.ts'
import { run, start } from './programs.ts'
import { delivering, receiver, status, succeed, verifies } from './webhooks-kit.ts'

type Body = Record<string, unknown>

/** The commands on the database of a world. */
function commandsOn(t: TestContext, url: string, shards = 1) {
  const env = { DATABASE_URL: url, SHARDS: String(shards) }
  const webhooks = (...args: string[]) => run(t, ['webhooks', ...args], env)
  const json = async (...args: string[]): Promise<Body> => {
    const { code, stdout, stderr } = await webhooks(...args, '--json')
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout) as Body
  }
  return { webhooks, json }
}

test('endpoints are made, shown, changed and removed in a terminal, while no API runs', async (t) => {
  const { world } = await delivering(t, 2)
  const { webhooks, json } = commandsOn(t, world.url, 2)
  assert.equal((await webhooks('list')).stdout, 'No endpoints.\n')
  const url = 'https://shop.example/hook'
  const made = await json('create', '--url', url, '--types', 'payment.*', '--description', 'shop')
  assert.match(String(made['secret']), /^whsec_[\w+/]{43}=$/)
  const polled = await webhooks('create', '--types', 'dead_letter.opened')
  assert.equal(polled.stdout, '2  polled  dead_letter.opened  enabled\n')
  const limited = await webhooks('update', '2', '--rate', '7')
  assert.equal(limited.stdout, '2  polled  dead_letter.opened  enabled  7 a second\n')
  const [wants] = await world.sql<{ types: string[] }>('select types from event_wants limit 1')
  assert.ok(wants?.types.includes('payment.failed') && wants.types.includes('dead_letter.opened'))

  const { secret, ...rest } = made
  assert.deepEqual(await json('show', '1'), rest)
  assert.match(String(rest['created_by']), /^cli:/)
  const listed = await webhooks('list')
  assert.match(
    listed.stdout,
    /^1 {2}https:\/\/shop\.example\/hook {2}payment\.\* {2}enabled {2}shop$/m,
  )
  assert.ok(!listed.stdout.includes(String(secret)))
  const changed = await json('update', '1', '--ordered', '--payload', 'thin', '--description', '')
  assert.deepEqual(
    [changed['ordered'], changed['payload'], changed['description']],
    [true, 'thin', null],
  )
  assert.equal((await json('update', '1', '--no-ordered'))['ordered'], false)
  const off = await json('disable', '1')
  assert.deepEqual([off['state'], off['disabled_reason']], ['disabled', 'operator'])
  assert.equal((await json('enable', '1'))['state'], 'enabled')
  const rotated = await json('rotate', '1', '--overlap-seconds', '60')
  assert.notEqual(rotated['secret'], secret)
  assert.deepEqual(await json('delete', '1'), { id: 1, removed: true })
  assert.match((await webhooks('show', '1')).stderr, /^Refused: endpoint_not_found\. /)
})

test('deliveries are looked at, tried and repeated in a terminal', async (t) => {
  const { world, turn } = await delivering(t)
  const { webhooks, json } = commandsOn(t, world.url)
  const answers = [status(500), status(302, { location: '/other' })]
  const to = await receiver(t, ...answers, (response) => void response.end('taken \u001b[2J'))
  const { secret } = await json('create', '--url', to.url, '--types', 'payment.succeeded')
  const failing = await webhooks('test', '1')
  assert.deepEqual([failing.code, failing.stdout.split(' ')[0]], [1, '500'])
  const elsewhere = await webhooks('test', '1')
  assert.deepEqual([elsewhere.code, elsewhere.stdout.split(' ')[0]], [1, '302'])
  const tried = await json('test', '1')
  assert.deepEqual([tried['status'], tried['reply']], [200, 'taken \u001b[2J'])
  assert.ok(to.received.every((one) => verifies(one, String(secret))))

  await succeed(world)
  await feed(world.db)
  const [waiting] = (await json('deliveries', '1'))['data'] as Body[]
  const event = String(waiting?.['event_id'])
  assert.deepEqual([waiting?.['state'], waiting?.['last_attempt']], ['pending', null])
  assert.equal((await webhooks('attempts', '1', event)).stdout, 'No calls so far.\n')
  assert.equal((await json('retry', '1', event))['due'], true)
  assert.deepEqual(await json('attempts', '1', event), { data: [] })
  const lines = (await webhooks('deliveries', '1', '--state', 'pending')).stdout
  assert.match(lines, new RegExp(`^${event} {2}payment\\.succeeded {2}pending {2}0 calls {2}next `))
  assert.equal((await webhooks('deliveries', '1', '--state', 'failed')).stdout, 'No deliveries.\n')
  await world.sql(`update webhook_endpoints set secret = 'x'`)
  await turn()
  const [call] = (await json('attempts', '1', event))['data'] as Body[]
  assert.deepEqual([call?.['status'], call?.['reason']], [null, 'secret_unreadable'])
  assert.match((await webhooks('attempts', '1', event)).stdout, /Z {2}secret_unreadable {2}0 ms\n$/)
})

test('what cannot be done with endpoints ends with 1, and a wrong call with 2', async (t) => {
  const { world } = await delivering(t)
  const { webhooks } = commandsOn(t, world.url)
  const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
    [['show', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['enable', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['delete', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['rotate', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['test', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['deliveries', '9'], 1, /^Refused: endpoint_not_found\. /],
    [['attempts', '9', 'msg_1'], 1, /^Refused: endpoint_not_found\. /],
    [['retry', '9', 'msg_1'], 1, /^Refused: endpoint_not_found\. /],
    [
      ['create', '--types', 'payment.*', '--url', 'http://shop.example'],
      1,
      /url_refused \(not_https\)\. .*It is not https\./,
    ],
    [['create'], 2, /required option '--types <list>'/],
    [['create', '--types', 'payment.lost'], 2, /Unknown: payment\.lost\. There are payment\.succe/],
    [['create', '--types', 'payment.*', '--description', '\n'], 2, /at most 200 printable/],
    [['update', '1'], 2, /say what is to change/],
    [['retry', '1', '7'], 2, /the id of an event, such as msg_1/],
    [['deliveries', '1', '--limit', '501'], 2, /a whole number of 1 to 500/],
    [['rotate', '1', '--overlap-seconds', '604801'], 2, /a whole number of 0 to 604800/],
    [['listen', '--forward-to', 'ftp://x'], 2, /an http or https URL/],
    [['listen', '--forward-to', 'http://x\\@y'], 2, /an http or https URL/],
    [['listen', '--forward-to', 'http://localhost:3000/hook#'], 2, /It has a fragment: nothing/],
    [['create', '--types', Array(51).fill('payment.*').join()], 2, /At most 50 types/],
    [['listen', '--secret', 'whsec_short'], 2, /at least 24 bytes/],
  ]
  for (const [args, code, says] of cases) {
    const ended = await webhooks(...args)
    assert.equal(ended.code, code, `${args.join(' ')}: ${ended.stderr}`)
    assert.match(ended.stderr, says)
  }
})

test('the help of each command about endpoints fits into 80 columns', async (t) => {
  const { stdout } = await run(t, ['webhooks', '--help'])
  const names = [...stdout.matchAll(/^ {2}([a-z]+) \[options\]/gm)].map(([, name = '']) => name)
  assert.ok(names.length >= 12, names.join())
  for (const name of names) {
    const help = await run(t, ['webhooks', name, '--help'])
    for (const line of help.stdout.split('\n')) assert.ok(line.length <= 80, line)
    assert.doesNotMatch(help.stdout, /default: ["[]/)
  }
})

test('who listens hears every event from then on, forwarded under its secret, and leaves nothing behind', async (t) => {
  const { world } = await delivering(t, 2)
  await succeed(world)
  const to = await receiver(t, status(204), status(500))
  const env = { DATABASE_URL: world.url, SHARDS: '2' }
  const args = ['webhooks', 'listen', '--forward-to', to.url, '--types', 'payment.succeeded']
  const { child, output, ended } = await start(t, args, env)
  const [, secret = ''] = await until('it listens', () => / (whsec_\S+)\n/.exec(output()[0]))
  assert.equal((await commandsOn(t, world.url, 2).webhooks('list')).stdout.split('  ')[1], 'polled')
  await succeed(world, 2)
  await feed(world.db)
  await until('both are shown', () => output()[0].trim().split('\n').length >= 4)
  child.kill('SIGINT')
  const { code, stdout, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(to.received.length, 2)
  assert.ok(to.received.every((one) => verifies(one, secret)))
  const lines = stdout.trim().split('\n').slice(2)
  for (const [index, line] of lines.entries()) {
    const { id = '', body = '' } = to.received[index] ?? {}
    const { payment_id: payment } = JSON.parse(body).data
    const shown = `payment.succeeded  payment ${payment} #1  ${id}  ${[204, 500][index]}  `
    assert.ok(line.startsWith(shown), line)
  }
  const left = await world.sql<object>(`select from webhook_endpoints where state <> 'removed'`)
  assert.equal(left.length, 0)
  const wants = await world.sql<{ types: string[] }>('select types from event_wants')
  assert.deepEqual(
    wants.flatMap(({ types }) => types),
    [],
  )
})

test('who listens may only look, as JSON, under a secret of its own', async (t) => {
  const { world } = await delivering(t)
  const secret = `whsec_${'k'.repeat(43)}=`
  const to = await receiver(t, status(200))
  const { child, output, ended } = await start(
    t,
    ['webhooks', 'listen', '--json', '--secret', secret, '--forward-to', to.url],
    { DATABASE_URL: world.url },
  )
  await until('it listens', () => output()[0].includes('\n'))
  await succeed(world)
  await feed(world.db)
  await until('the event is shown', () => output()[0].trim().split('\n').length >= 2)
  child.kill('SIGTERM')
  const { code, stdout } = await ended
  assert.equal(code, 0)
  const [ready, heard] = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Body)
  assert.deepEqual(ready, { listening: true, url: to.url, secret })
  const { took_ms, ...rest } = heard ?? {}
  assert.equal(typeof took_ms, 'number')
  const [one] = to.received
  assert.ok(one !== undefined && verifies(one, secret))
  const fact = { payment_id: 1, sequence: 1, status: 200, reason: null }
  assert.deepEqual(rest, { event_id: one.id, type: 'payment.succeeded', ...fact })
})

test('who listens is told that somebody else removed or disabled the subscription, and it ends with 1', async (t) => {
  for (const [act, word] of [
    ['delete', 'removed'],
    ['disable', 'disabled'],
  ] as const) {
    const { world } = await delivering(t)
    const { output, ended } = await start(t, ['webhooks', 'listen'], { DATABASE_URL: world.url })
    await until('it listens', () => output()[0].includes('\n'))
    assert.equal((await commandsOn(t, world.url).webhooks(act, '1')).code, 0)
    const { code, stderr } = await ended
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`subscription of this command was ${word} by somebody else`))
    const left = await world.sql<object>(`select from webhook_endpoints where state <> 'removed'`)
    assert.equal(left.length, 0)
  }
})

test('listening ends as with Ctrl-C once nobody reads what it prints, and leaves nothing behind', async (t) => {
  const { world } = await delivering(t)
  const args = ['webhooks', 'listen']
  const { child, output, ended } = await start(t, args, { DATABASE_URL: world.url })
  await until('it listens', () => output()[0].includes('\n'))
  child.stdout?.destroy()
  await succeed(world)
  await feed(world.db)
  const { code, stderr } = await ended
  assert.deepEqual([code, stderr], [0, ''])
  const left = await world.sql<object>(`select from webhook_endpoints where state <> 'removed'`)
  assert.equal(left.length, 0)
})
