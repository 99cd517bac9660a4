import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boxesOf, ROWS_MAX, sharesOf, type Box } from '../bench/flame/boxes.ts'
import { frameOf, type CallFrame } from '../bench/flame/frame.ts'
import { flameSvg } from '../bench/flame/svg.ts'
import { flameOf, readProfile, type Profile } from '../bench/flame/tree.ts'

const HOME = 'file:///home/somebody/project'
const OURS = `${HOME}/.data/bench-7/service/dist/payments/accept.js`
const FASTIFY = `${HOME}/node_modules/fastify/lib/reply.js`

/** A function and what it calls; `ms` is its own time. */
interface Sketch {
  readonly name: string
  readonly url?: string
  readonly line?: number
  readonly ms?: number
  readonly calls?: readonly Sketch[]
}

/** A profile with one sample for each function that has time of its own. */
function profileOf(...calls: readonly Sketch[]): Profile {
  const nodes: { id: number; callFrame: CallFrame; children: number[] }[] = []
  const samples: number[] = []
  const timeDeltas = [0]
  const add = (sketch: Sketch): number => {
    const { name, url = '', line = 10, ms = 0 } = sketch
    const id = nodes.length + 1
    const at = { scriptId: url === '' ? '0' : '7', url, lineNumber: line - 1, columnNumber: 0 }
    const node = { id, callFrame: { functionName: name, ...at }, children: [] as number[] }
    nodes.push(node)
    if (ms > 0) {
      samples.push(id)
      timeDeltas.push(ms * 1_000)
    }
    for (const call of sketch.calls ?? []) node.children.push(add(call))
    return id
  }
  add({ name: '(root)', calls })
  return { nodes, samples, timeDeltas }
}

const noLine = () => null
const flame = (...calls: readonly Sketch[]) => flameOf(profileOf(...calls), noLine)

/** Each box as its row, name and percent. */
const shown = (boxes: readonly Box[]) =>
  boxes.map(({ row, frame, share }) => `${row} ${frame.name} ${Math.round(share * 100)}`)

test('waiting is left out, and each function is once under its caller', () => {
  const accept = { name: 'accept', url: OURS, ms: 20 }
  const again = { ...accept, ms: 10, calls: [{ name: 'send', url: FASTIFY, ms: 30 }] }
  const garbage = { name: '(garbage collector)', ms: 40 }
  const drawn = flame({ name: '(idle)', ms: 900 }, accept, again, garbage)
  assert.equal(drawn.idle, 900_000)
  assert.deepEqual(shown(boxesOf(drawn, 0.004)), [
    '0 all 100',
    '1 accept 60',
    '2 send 30',
    '1 garbage collection 40',
  ])
  assert.deepEqual(sharesOf(drawn), { own: 0.3, package: 0.3, node: 0, native: 0.4 })
})

test('a sample lasts until the next, and a clock that steps back takes no time', () => {
  const profile = profileOf(
    { name: 'one', ms: 1 },
    { name: 'two', ms: 1 },
    { name: 'three', ms: 1 },
  )
  const { root } = flameOf({ ...profile, timeDeltas: [5_000, 300, -50, 700] }, noLine)
  const totals = [...root.children.values()].map(({ frame, total }) => [frame.name, total])
  assert.deepEqual(totals, [
    ['one', 300],
    ['two', 0],
    ['three', 700],
  ])
})

test('a function is named without the folders of this machine, and by whose it is', () => {
  const at = (functionName: string, url: string, lineNumber = 9, scriptId = '7') =>
    frameOf({ functionName, scriptId, url, lineNumber, columnNumber: 0 }, () => 42)
  const nested = `${HOME}/node_modules/pg/node_modules/@scope/pkg/dist/index.js`
  const told = [
    at('accept', OURS),
    at('', OURS),
    at('', 'C:\\Users\\somebody\\odd.js'),
    at('send', FASTIFY),
    at('', nested),
    at('', nested, 0),
    at('_writev', 'node:internal/streams/writable'),
    at('toString', '', -1, '0'),
    at('RegExp: ^a', '', -1, '0'),
    at('validate0', ''),
  ]
  assert.deepEqual(
    told.map(({ origin, name, module, place }) => [origin, name, module, place].join(' | ')),
    [
      'own | accept | payments/accept | src/payments/accept.ts:42',
      'own | payments/accept:42 |  | src/payments/accept.ts:42',
      'own | odd.js:10 |  | odd.js:10',
      'package | send | fastify | fastify/lib/reply.js:10',
      'package | @scope/pkg/dist/index:10 |  | @scope/pkg/dist/index.js:10',
      'package | load @scope/pkg |  | @scope/pkg/dist/index.js:1',
      'node | _writev | node:streams/writable | node:internal/streams/writable:10',
      'native | toString |  | native',
      'native | regular expression |  | RegExp: ^a',
      'package | validate0 | generated | generated at run time',
    ],
  )
})

test('plumbing, recursion and a Node module that calls itself join their callers', () => {
  const write = { name: 'doWrite', url: 'node:internal/streams/writable', ms: 30 }
  const uncork = { name: 'uncork', url: 'node:internal/streams/writable', calls: [write] }
  const inner = { name: 'suspicious', url: OURS, ms: 20, calls: [uncork] }
  const outer = { name: 'suspicious', url: OURS, ms: 20, calls: [inner] }
  const emit = { name: 'emit', url: 'node:events', ms: 10, calls: [outer] }
  const ticks = { name: 'processTicksAndRejections', url: 'node:internal/process/task_queues' }
  const drawn = flame({ ...ticks, ms: 20, calls: [emit] })
  assert.deepEqual(shown(boxesOf(drawn, 0.004)), [
    '0 all 100',
    '1 suspicious 70',
    '2 uncork 30',
    '1 event loop 30',
  ])
})

test('calls that are too short become one box, and no picture is deeper than its rows', () => {
  const short = Array.from({ length: 30 }, (_, index) => ({ name: `f${index}`, url: OURS, ms: 1 }))
  let deep: Sketch = { name: 'g0', url: OURS, ms: 970 }
  for (let depth = 1; depth < 200; depth += 1)
    deep = { name: `g${depth}`, url: OURS, calls: [deep] }
  const boxes = boxesOf(flame(deep, ...short), 0.004)
  const last = boxes.at(-1)
  assert.deepEqual([last?.kind, last?.frame.name, last?.row], ['rest', '30 more', 1])
  assert.equal(Math.max(...boxes.map(({ row }) => row)), ROWS_MAX - 1)
})

test('the picture is well-formed, names no folder, and every label fits into its box', () => {
  const odd = { name: '<a & "b">', url: OURS, ms: 5 }
  const long = { name: 'a'.repeat(300), url: FASTIFY, ms: 50, calls: [odd] }
  const svg = flameSvg(flame(long, { name: '(program)', ms: 45 }), {
    title: 'A & B',
    shareMin: 0.004,
  })
  const open = [...svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)].filter(([, , , alone]) => alone === '')
  const trail: string[] = []
  for (const [, closes, name = ''] of open) {
    if (closes === '') trail.push(name)
    else assert.equal(trail.pop(), name)
  }
  assert.deepEqual(trail, [])
  assert.ok(svg.includes('&lt;a &amp; &quot;b&quot;&gt;') && svg.includes('A &amp; B'))
  assert.ok(!/somebody|project|file:/.test(svg))
  for (const [, width = '', label = ''] of svg.matchAll(
    /width="([\d.]+)" height="17".*?<text.*?>(.*?)</g,
  )) {
    const letters = label.replace(/&\w+;/g, '_').length
    assert.ok(letters * 6.3 <= Number(width), label)
  }
})

test('a picture of nothing, and of what is no profile', () => {
  assert.match(flameSvg(flame(), { title: 'Nothing', shareMin: 0.004 }), /^<svg .*Nothing/)
  assert.throws(() => readProfile('{"nodes": []}'), /no processor profile/)
})
