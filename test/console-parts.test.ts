import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { readAnswer } from '../console/exact/answer.ts'
import { formatCount, formatRate } from '../console/exact/count.ts'
import { writeCsv } from '../console/exact/csv.ts'
import { durationOf } from '../console/exact/duration.ts'
import { latinKey } from '../console/exact/keys.ts'
import { momentsOf } from '../console/exact/moment.ts'
import { entryOf } from '../console/exact/entry.ts'
import { english, russian } from '../console/exact/plural.ts'
import { isOld, nextPollMs, OLD_MS } from '../console/exact/poll.ts'
import { isAilment, problemText } from '../console/exact/problem.ts'
import { hrefOf, isOwn, isStraight, readRoute, SCREENS } from '../console/exact/route.ts'
import { guess, meaningsOf } from '../console/exact/search.ts'
import { OVERLAP_MAX, RATE_MAX, readWhole } from '../console/exact/whole.ts'
import { EN } from '../console/words/en.ts'
import { EN_ACTS } from '../console/words/en-acts.ts'
import { EN_OVERVIEW } from '../console/words/en-overview.ts'
import { EN_SCREENS } from '../console/words/en-screens.ts'
import { RU } from '../console/words/ru.ts'
import { RU_ACTS } from '../console/words/ru-acts.ts'
import { RU_OVERVIEW } from '../console/words/ru-overview.ts'
import { RU_SCREENS } from '../console/words/ru-screens.ts'

test('no cell of a CSV is run as a formula', () => {
  for (const first of ['=', '+', '-', '@', '\t', '\r', ' =']) {
    const [cell = ''] = writeCsv([[`${first}cmd|'/c calc'!A1`]]).split('\r\n')
    assert.match(cell, /^"?'/, JSON.stringify(first))
  }
  assert.equal(writeCsv([['-12.50', 3, null]]), '-12.50,3,\r\n')
})

test('CSV is read back as it was written', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ';', ' ') })
  fc.assert(
    fc.property(fc.array(texts, { minLength: 1 }), (row) => {
      assert.deepEqual(
        readRow(writeCsv([row])),
        row.map((text) => readAs(text)),
      )
    }),
    { seed: 1 },
  )
})

/** What a cell is read as: a line break in front counts as a formula. */
function readAs(text: string): string {
  return /^\s*[=+\-@\t\r]/.test(text) ? `'${text}` : text
}

function readRow(csv: string): string[] {
  const cells = [...csv.slice(0, -2).matchAll(/(?:"((?:[^"]|"")*)"|([^,"]*))(,|$)/g)]
  const last = cells.findIndex(([, , , end]) => end === '')
  return cells
    .slice(0, last + 1)
    .map(([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain)
}

test('Russian nouns stand in the right form behind any number', () => {
  const forms = ['платёж', 'платежа', 'платежей'] as const
  const rules = new Intl.PluralRules('ru')
  for (let count = 0; count <= 1_200; count += 1) {
    const kind = rules.select(count)
    const wanted = kind === 'one' ? forms[0] : kind === 'few' ? forms[1] : forms[2]
    assert.equal(russian(count, forms), wanted, String(count))
  }
  assert.equal(english(1, 'event'), 'event')
  assert.equal(english(0, 'event'), 'events')
})

test('every language has every word, and none of them is empty', () => {
  assert.deepEqual(shapeOf(RU), shapeOf(EN))
})

/** The names of all words; a word that is empty throws. */
function shapeOf(words: object): unknown {
  return Object.fromEntries(
    Object.entries(words)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, word]) => {
        if (typeof word === 'object') return [name, shapeOf(word as object)]
        assert.notEqual(word, '', name)
        return [name, typeof word]
      }),
  )
}

test('a duration has as many digits as a person wants', () => {
  const cases = [
    [0, '0', 'ms'],
    [999, '999', 'ms'],
    [1_990, '1.9', 's'],
    [59_999, '59', 's'],
    [61_000, '1', 'min'],
    [5_400_000, '1.5', 'h'],
    [172_800_000, '2', 'd'],
  ] as const
  for (const [ms, value, unit] of cases) assert.deepEqual(durationOf(ms), { value, unit })
})

test('a moment of another day has its day, however exact it is, and one of another year its year', () => {
  const { moment, exact } = momentsOf('en-GB')
  const at = new Date(2030, 10, 24, 15, 22, 5, 759).getTime()
  const later = (...date: [number, number, number]) => new Date(...date, 9).getTime()
  const cases = [
    [later(2030, 10, 24), '15:22:05', '15:22:05.759'],
    [later(2030, 10, 25), '24 Nov, 15:22', '24 Nov, 15:22:05.759'],
    [later(2030, 10, 23), '24 Nov, 15:22', '24 Nov, 15:22:05.759'],
    [later(2032, 10, 24), '24 Nov 2030', '24 Nov 2030, 15:22:05.759'],
  ] as const
  for (const [now, plain, full] of cases) {
    assert.deepEqual([moment(at, now), exact(at, now)], [plain, full])
  }
  const russianly = momentsOf('ru-RU').exact(at, later(2030, 10, 25))
  assert.match(russianly, /^24 нояб\..*15:22:05,759$/)
})

test('a whole number is typed within the bounds that the API has, or is none', () => {
  const text = readFileSync(new URL('../docs/openapi.json', import.meta.url), 'utf8')
  const { components } = JSON.parse(text) as { components: { schemas: Bounds } }
  const most = (schema: string, name: string) =>
    components.schemas[schema]?.properties?.[name]?.maximum
  assert.equal(most('RedriveStartRequest', 'rate_per_second'), RATE_MAX)
  assert.equal(most('ReplayStartRequest', 'rate_per_second'), RATE_MAX)
  assert.equal(most('RotateSecretRequest', 'overlap_seconds'), OVERLAP_MAX)
  for (const [typed, value] of [
    ['1', 1],
    ['007', 7],
    [String(RATE_MAX), RATE_MAX],
  ] as const) {
    assert.equal(readWhole(typed, 1, RATE_MAX), value)
  }
  for (const typed of ['', '0', '501', '1.5', '10,5', 'abc', '-1', '+1', '1e2', '9'.repeat(30)]) {
    assert.equal(readWhole(typed, 1, RATE_MAX), null, typed)
  }
})

type Bounds = Record<string, { properties?: Record<string, { maximum?: number }> }>

test('asking again takes from 2 to 5 seconds, and stops when nobody looks', () => {
  for (const failures of [0, 1, 5, 100]) {
    for (const chance of [0, 0.5, 0.999]) {
      const wait = nextPollMs({ paused: false, hidden: false, failures }, chance) ?? 0
      assert.ok(wait >= 2_000 && wait <= 5_000, String(wait))
    }
  }
  // So that who was signed out knows it within five seconds.
  assert.ok((nextPollMs({ paused: false, hidden: false, failures: 0 }, 1) ?? 0) <= 3_000)
  assert.equal(nextPollMs({ paused: true, hidden: false, failures: 0 }, 0), null)
  assert.equal(nextPollMs({ paused: false, hidden: true, failures: 0 }, 0), null)
  assert.notEqual(
    nextPollMs({ paused: false, hidden: false, failures: 0 }, 0),
    nextPollMs({ paused: false, hidden: false, failures: 0 }, 0.9),
  )
})

test('what is shown is called old after a while', () => {
  assert.equal(isOld(null, 1e9), false)
  assert.equal(isOld(1_000, 1_000 + OLD_MS), false)
  assert.equal(isOld(1_000, 1_001 + OLD_MS), true)
})

test('an address of a screen is read as what it was made of', () => {
  for (const screen of SCREENS) {
    const url = new URL(hrefOf(screen, null, { status: 'failed', q: '' }), 'http://x')
    assert.deepEqual(readRoute(url.pathname, url.search), {
      screen,
      id: null,
      query: { status: 'failed' },
    })
  }
  assert.deepEqual(readRoute('/console/payments/12', ''), {
    screen: 'payments',
    id: '12',
    query: {},
  })
  assert.equal(readRoute('/console', '').screen, 'overview')
  for (const lost of ['/console/nothing', '/console/payments/x', '/console/users/1/2']) {
    assert.equal(readRoute(lost, '').screen, 'lost')
  }
  assert.ok(isOwn('/console/') && !isOwn('/consoles'))
})

test('what an address calls an id is one, or is not there', () => {
  const read = (search: string) => readRoute('/console/dead-letters', search).query
  assert.deepEqual(read('?run=12&replay=7'), { run: '12', replay: '7' })
  for (const bad of ['../../overview', '1/../2', '', '-1', '1x', '12345678901234567890']) {
    assert.deepEqual(read(`?run=${encodeURIComponent(bad)}&state=open`), { state: 'open' })
    assert.deepEqual(read(`?run=1&run=${encodeURIComponent(bad)}`), { run: '1' })
  }
})

test('a path of the API is asked as it is written, or not at all', () => {
  for (const straight of ['/dlq?error=../x', '/payments/1', '/users?q=a/../b', '/keys/a.b']) {
    assert.ok(isStraight(straight), straight)
  }
  for (const id of [
    '../keys',
    '..%2f..',
    '.',
    '%2e%2e',
    '%2E%2e/x',
    'a\\..\\b',
    '1#x',
    ' 1',
    '\t',
  ]) {
    const straight = isStraight(`/dlq/redrives/${id}/cancel`)
    assert.equal(straight, id === '..%2f..', id)
  }
})

test('what does not come from the API, but from what is before it, is no answer', () => {
  const json = 'application/json'
  const read = (status: number, type: string | null, text: string, method = 'GET') =>
    readAnswer({ method, status, type, text, etag: null })
  const problem = JSON.stringify({ title: 'T', detail: 'D', code: 'not_found' })
  const known = [
    read(200, json, '{"id": 1}').kind,
    read(200, json, '[]').kind,
    read(304, null, '').kind,
    read(204, null, '', 'DELETE').kind,
    read(404, 'application/problem+json', problem).kind,
    read(503, 'application/problem+json', problem).kind,
  ]
  assert.deepEqual(known, ['ok', 'ok', 'same', 'ok', 'refused', 'refused'])
  const others = [
    read(200, 'text/html', '<h1>Sign in to the proxy</h1>'),
    read(200, 'text/html', '<h1>Sign in to the proxy</h1>', 'POST'),
    read(200, null, ''),
    read(200, json, ''),
    read(200, json, '{"id": 1'),
    read(200, json, 'null'),
    read(401, 'text/html', '<h1>401</h1>'),
    read(404, json, '{"message": "no route matched"}'),
    read(500, json, 'null'),
    read(502, 'text/html', '<h1>502</h1>'),
  ]
  for (const answer of others) assert.deepEqual(answer, { kind: 'away' })
})

test('a search is for the payment or the user that was typed, or for everything', () => {
  assert.deepEqual(guess(' 42 '), { kind: 'payment', id: '42', typed: '42' })
  assert.deepEqual(guess('#42'), { kind: 'payment', id: '42', typed: '#42' })
  // What was typed is kept, since it may be a name that only looks like a field.
  const filters = [
    ['user:7', { user_id: '7', typed: 'user:7' }],
    ['ref: A 1', { reference: 'A 1', typed: 'ref: A 1' }],
    ['gateway:gw_1', { gateway_ref: 'gw_1', typed: 'gateway:gw_1' }],
  ] as const
  for (const [text, query] of filters) assert.deepEqual(guess(text), { kind: 'filter', query })
  const names = ['gw_01', 'order-1', '42.50', 'user: ann', 'user:alice', 'constructor: 1', 'a: b']
  for (const q of names) assert.deepEqual(guess(q), { kind: 'filter', query: { q } })
  assert.equal(guess('  '), null)
})

test('what stands behind the name of a field is looked for beside the whole', () => {
  assert.deepEqual(meaningsOf('user: ann'), ['user: ann', 'ann'])
  assert.deepEqual(meaningsOf('ref:abc-1'), ['ref:abc-1', 'abc-1'])
  for (const whole of ['order-1', 'constructor: 1', 'toString x', '__proto__: 1', 'a: b']) {
    assert.deepEqual(meaningsOf(whole), [whole, null])
  }
})

test('what every object has is no word of a dictionary', () => {
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    assert.equal(entryOf(EN.reasons, name), undefined, name)
  }
  assert.equal(entryOf(EN.reasons, 'timeout'), 'timeout')
})

test('thousands are marked in the whole part of a number alone', () => {
  const marks = { group: ' ', decimal: ',' }
  const shown = [0, 0.0003, 0.00033, 12, 1_234.5678, 1e6].map((one) => formatCount(one, marks))
  assert.deepEqual(shown, ['0', '0,0003', '0,00033', '12', '1 234,5678', '1 000 000'])
  const rates = [0, 1 / 3_600, 0.5, 99.5, 12_345.6].map((one) => formatRate(one, marks))
  assert.deepEqual(rates, ['0', '0,00028', '0,5', '100', '12 346'])
})

test('a shortcut is the same key whatever alphabet the keyboard writes', () => {
  const cases = [
    ['g', 'KeyG', false, 'g'],
    ['п', 'KeyG', false, 'g'],
    ['з', 'KeyP', false, 'p'],
    ['.', 'Slash', false, '/'],
    [',', 'Slash', true, '?'],
    ['.', 'Period', false, '.'],
    ['?', 'Minus', true, '?'],
    // Dvorak writes Latin letters, elsewhere: what it writes counts.
    ['i', 'KeyG', false, 'i'],
    ['Escape', 'Escape', false, 'Escape'],
  ] as const
  for (const [key, code, shiftKey, latin] of cases) {
    assert.equal(latinKey({ key, code, shiftKey }), latin, `${key} ${code}`)
  }
})

test('a refusal says which fields are wrong, and what only ails says nothing about what was asked', () => {
  assert.equal(problemText({ title: '', detail: 'No amount.' }, EN_ACTS.fieldFaults), 'No amount.')
  const errors = [{ pointer: '/rate_per_second', code: 'wrong_type' }]
  const told = { title: 'Body invalid', detail: 'Fields.', errors }
  const said = problemText(told, EN_ACTS.fieldFaults)
  assert.equal(said, 'Body invalid. Fields. (rate_per_second: is of the wrong type)')
  // Words of our own that have no place in the dictionary are still words, and no raw rule is told.
  const codes = ['const', 'name_twice', 'constructor'].map((code) => ({
    pointer: '/dry_run',
    code,
  }))
  const others = problemText({ ...told, errors: codes }, EN_ACTS.fieldFaults)
  const value = 'dry_run: has another value than the one that is taken here'
  assert.ok(others.endsWith(`(${value}, dry_run: name twice, dry_run: constructor)`), others)
  assert.deepEqual([401, 403, 404, 409, 422, 429, 500, 503].filter(isAilment), [429, 500, 503])
})

test('no word is in two parts of a dictionary, where one of them would never be seen', () => {
  for (const parts of [
    [EN_ACTS, EN_SCREENS, EN_OVERVIEW, EN],
    [RU_ACTS, RU_SCREENS, RU_OVERVIEW, RU],
  ]) {
    const pairs = parts.slice(0, -1).flatMap((part) => Object.entries(part))
    const whole: Readonly<Record<string, unknown>> = { ...parts.at(-1) }
    assert.equal(new Set(pairs.map(([name]) => name)).size, pairs.length)
    for (const [name, word] of pairs) assert.equal(whole[name], word, name)
  }
})
