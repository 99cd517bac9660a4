import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as kinds from '../src/config/kinds.ts'

const long = (length: number) => 'a'.repeat(length)

const pairs = (count: number) =>
  JSON.stringify(
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, 'v'])),
  )

/** Of each kind, texts and what they are read into. */
const READ: Readonly<
  Record<string, readonly [kind: kinds.SettingKind, cases: readonly (readonly [string, unknown])[]]>
> = {
  text: [
    kinds.text(5),
    [
      [long(5), long(5)],
      [' ~é', ' ~é'],
    ],
  ],
  host: [
    kinds.host(),
    [
      ['my-host_1.example', 'my-host_1.example'],
      ['::1', '::1'],
      [long(253), long(253)],
    ],
  ],
  networks: [
    kinds.networks(),
    [
      ['', []],
      [' 10.0.0.1 , ::1/128,,', ['10.0.0.1', '::1/128']],
      ['0.0.0.0/0,1.2.3.4/32', ['0.0.0.0/0', '1.2.3.4/32']],
    ],
  ],
  integer: [
    kinds.integer(2, 20),
    [
      ['2', 2],
      ['20', 20],
      ['007', 7],
    ],
  ],
  seconds: [
    kinds.seconds(0.05, 3),
    [
      ['0.05', 50],
      ['0.050', 50],
      ['1.999', 1_999],
      ['3', 3_000],
    ],
  ],
  percent: [
    kinds.percent(),
    [
      ['0', 0],
      ['2.5', 250],
      ['100.00', 10_000],
    ],
  ],
  currency: [kinds.currency(), [['usd', 'USD']]],
  header: [
    kinds.headerValue(),
    [
      ['Bearer a b~!', 'Bearer a b~!'],
      [long(4_096), long(4_096)],
    ],
  ],
  headers: [
    kinds.headers(),
    [
      ['{}', {}],
      [pairs(20), JSON.parse(pairs(20))],
      [`{"${long(64)}":"v w"}`, { [long(64)]: 'v w' }],
    ],
  ],
  listedHeaders: [
    kinds.listedHeaders(),
    [
      ['api-key=a%20b', { 'api-key': 'a b' }],
      [' a=1 , b=x=y', { a: '1', b: 'x=y' }],
      ['authorization=Bearer%20t', { authorization: 'Bearer t' }],
    ],
  ],
  collectorUrl: [
    kinds.collectorUrl(),
    [
      ['http://h:4318', 'http://h:4318'],
      ['https://h/otlp/', 'https://h/otlp/'],
    ],
  ],
  share: [
    kinds.share(),
    [
      ['0', 0],
      ['0.000000001', 0.000000001],
      ['1.0', 1],
    ],
  ],
  flag: [
    kinds.flag(),
    [
      ['TRUE', true],
      ['1', true],
      ['yes', true],
      ['On', true],
      ['False', false],
      ['0', false],
      ['no', false],
      ['OFF', false],
    ],
  ],
  choice: [
    kinds.choice(['one', 'two'], { 2: 'two' }),
    [
      ['ONE', 'one'],
      ['two', 'two'],
      ['2', 'two'],
    ],
  ],
  databaseUrl: [
    kinds.databaseUrl(),
    [
      ['postgres://u:p@h/d', 'postgresql://u:p@h/d'],
      ['postgresql+asyncpg://u:p@h:1/d', 'postgresql://u:p@h:1/d'],
    ],
  ],
  httpUrl: [
    kinds.httpUrl(),
    [
      ['HTTP://Host:80/', 'http://host'],
      ['https://h/p//', 'https://h/p'],
    ],
  ],
  statsdUrl: [
    kinds.statsdUrl(),
    [
      ['udp://h:8125', 'udp://h:8125'],
      ['statsd://h/', 'statsd://h/'],
    ],
  ],
}

/** Of each kind, texts that are none, most of them by one step. */
const REFUSED: Readonly<Record<keyof typeof READ, readonly string[]>> = {
  text: ['', long(6), 'a\tb', 'a\u001f'],
  host: ['', 'a b', 'a/b', long(254)],
  networks: ['x', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/-1', 'fe80::1%a'],
  integer: ['1', '21', '', '2.0', '-2', '1e1', '+3', ' 3'],
  seconds: ['0.049', '3.001', '1.0000', '.5', '1.', '', '1s'],
  percent: ['100.01', '1.000', '-1', '1%'],
  currency: ['XYZ', 'US', ''],
  header: ['', ' a', 'a ', 'a  b', 'a\tb', 'é', long(4_097)],
  headers: [
    '[]',
    'null',
    '1',
    '{',
    pairs(21),
    '{"a":1}',
    '{"a":" v"}',
    '{"":"v"}',
    '{"a_b":"v"}',
    `{"${long(65)}":"v"}`,
    '{"x":"v","Idempotency-Key":"v"}',
    '{"Content-Type":"v"}',
    '{"authorization":"v"}',
  ],
  listedHeaders: [
    '',
    'a',
    'a=',
    '=b',
    'a=1,a=2',
    'a b=1',
    'a=%zz',
    'a=%0a',
    'Content-Type=x',
    'host=h',
    Array.from({ length: 21 }, (_, index) => `x-${index}=v`).join(),
  ],
  collectorUrl: ['ftp://h', 'h:4318', '', 'http://u:p@h', 'http://h?q', 'http://h#f'],
  share: ['1.1', '-1', '2', '.5', '0.1234567891', '1e0', ''],
  flag: ['', 'y', '2', 'truee'],
  choice: ['three', '', 'constructor', 'on'],
  databaseUrl: ['mysql://h/d', 'postgresql://a,,b/d', 'postgresql//h', 'xpostgres://h/d'],
  httpUrl: [
    'ftp://h',
    'http://',
    'http:///p',
    'http://u@h',
    'http://:p@h',
    'http://h?q',
    'http://h#f',
  ],
  statsdUrl: [
    'http://h',
    'udp://',
    'udp://h/p',
    'udp://u@h',
    'udp://h?q',
    'udp://h#f',
    'udp://h:x',
  ],
}

for (const [name, [kind, cases]] of Object.entries(READ)) {
  test(`a setting of the kind ${name} is read up to its bounds, and not beyond`, () => {
    for (const [given, value] of cases) assert.deepEqual(kind.read(given), value, given)
    for (const given of REFUSED[name] ?? assert.fail(name)) {
      assert.equal(kind.read(given), undefined, JSON.stringify(given))
    }
  })
}

test('each shard from 0 on is in one range of one database, in whatever order they are given', () => {
  const at = (name: string) => `postgresql://pay:pw@${name}:5432/payments`
  const { read } = kinds.shardMap()
  const range = (first: number, last: number, name: string) => ({ first, last, url: at(name) })
  const two = [range(0, 3, 'a'), range(4, 4, 'b')]
  assert.deepEqual(read(`4=${at('b')},0-3=${at('a')}`), two)
  for (const wrong of [
    `1-3=${at('a')}`,
    `0-3=${at('a')},5=${at('b')}`,
    `0-3=${at('a')},3-4=${at('b')}`,
    `3-0=${at('a')}`,
    `0-3=${at('a')},4=${at('a')}`,
    '0-3=mysql://a/b',
    '0-3',
  ]) {
    assert.equal(read(wrong), undefined, wrong)
  }
})
