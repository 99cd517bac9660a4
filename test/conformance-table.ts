import assert from 'node:assert/strict'
import type { GatewayOperation } from '../src/domain/gateway-profile.ts'
import { WORDS, type Conform, type Vocabulary, type Word } from './conformer.ts'
import { http, peer } from './misbehaving-peer.ts'

/** A vocabulary with the shapes and functions of a driver. */
export function vocabularyOf<S extends string>(own: {
  readonly shapes: Readonly<Record<S, string>>
  readonly words: Readonly<Record<Word, NoInfer<S>>>
  readonly refusal: NoInfer<S>
  readonly charge: (status: number | null, shape: S, sent?: boolean) => string
  readonly lookup: (status: number | null, shape: S) => string
  readonly body: Readonly<Record<NoInfer<S>, (operation: GatewayOperation) => unknown>>
  readonly headers?: (operation: GatewayOperation) => string
}): Vocabulary {
  const shapes = Object.keys(own.shapes) as S[] // Its keys are the shapes.
  const known = (shape: string): S => shapes.find((one) => one === shape) ?? assert.fail(shape)
  return {
    ...own,
    shapes,
    charge: (status, shape, sent) => own.charge(status, known(shape), sent),
    lookup: (status, shape) => own.lookup(status, known(shape)),
    body(shape, operation) {
      const body = own.body[known(shape)](operation)
      return typeof body === 'string' ? body : JSON.stringify(body)
    },
  }
}

const STATUSES = Array.from({ length: 500 }, (_, at) => at + 100)
/** Another address was meant. */
const MOVED: ReadonlySet<number> = new Set([301, 307, 308])
/** With these a gateway may say a documented no. */
const NO: ReadonlySet<number> = new Set([400, 402, 409, 422])

/** A cell of a table: what a charge and a lookup are told by a status and a shape. */
interface Cell {
  readonly status: number
  readonly shape: string
  readonly kind: string
  readonly found: string
  /** The status says that all went well. */
  readonly well: boolean
  readonly told: string
}

function cells(table: Vocabulary): Cell[] {
  return STATUSES.flatMap((status) =>
    table.shapes.map((shape) => ({
      status,
      shape,
      kind: table.charge(status, shape),
      found: table.lookup(status, shape),
      well: status >= 200 && status < 300,
      told: `${status} ${shape}`,
    })),
  )
}

/** A word is one only in its own shape, and with a status that goes with it. */
function isWord(word: Word, { words }: Vocabulary, cell: Cell): void {
  const { status, shape, kind, found, well, told } = cell
  const no = word === 'declined' && NO.has(status)
  if (kind === word) assert.ok(words[word] === shape && (well || no), told)
  if (found === word) assert.ok(words[word] === shape && well, told)
}

/** What these statuses say does not depend on the body. */
function mayHaveHappened({ words }: Vocabulary, { status, shape, kind, well, told }: Cell): void {
  const open = status < 400 || status >= 500 || status === 408 || status === 425
  if (open && !well && !MOVED.has(status)) assert.equal(kind, 'in_doubt', told)
  if (status === 409 && shape !== words.declined) assert.equal(kind, 'in_doubt', told)
  if (status === 401 || status === 407) assert.match(kind, /^(misconfigured|in_doubt)$/, told)
  if (status === 429) assert.match(kind, /^(not_executed|in_doubt)$/, told)
}

/** What names nobody, or another, is no word and proves nothing. */
function saysNothing({ shape, kind, found, told }: Cell): void {
  if (shape === 'another') assert.deepEqual([kind, found], ['in_doubt', 'no_answer'], told)
  if (shape !== 'page' && shape !== 'empty') return
  assert.match(kind, /^(in_doubt|misconfigured|not_executed)$/, told)
  assert.match(found, /^(no_answer|misconfigured)$/, told)
}

/** What any driver's table has to be, whatever else it says. */
export function totalTable(conform: Conform): void {
  conform('only our word with a status that goes with it is a word', async ({ vocabulary }) => {
    for (const cell of cells(vocabulary)) {
      for (const word of WORDS) isWord(word, vocabulary, cell)
      const { kind, found, shape, status, told } = cell
      if (found === 'not_found') assert.ok(status === 404 || status === 200, told)
      if (kind === 'rejected') assert.ok(shape === vocabulary.refusal && status >= 400, told)
    }
  })

  conform('what may have happened is in doubt, whatever the body says', async ({ vocabulary }) => {
    for (const cell of cells(vocabulary)) {
      mayHaveHappened(vocabulary, cell)
      saysNothing(cell)
    }
    for (const shape of vocabulary.shapes) {
      assert.equal(vocabulary.charge(null, shape, false), 'not_executed')
      assert.equal(vocabulary.charge(null, shape, true), 'in_doubt')
      assert.equal(vocabulary.lookup(null, shape), 'no_answer')
    }
  })

  conform('every answer over the network is what the table says', async (made, t) => {
    const { vocabulary: table, at, charge } = made
    let reply = ''
    const { url, requests } = await peer(t, (socket) => void socket.end(reply))
    const gateway = at(url)
    let asked = 0
    for (const status of edges(table)) {
      for (const shape of table.shapes) {
        const operation = { ...charge, gatewayRef: made.ref }
        const body = table.body(shape, operation)
        reply = http(status, body, table.headers?.(operation))
        const [read, seen] = [readable(status), bodiless(status) ? 'empty' : shape]
        const executed = await gateway.execute(operation)
        assert.equal(executed.outcome.kind, table.charge(read, seen), `${status} ${shape}`)
        assert.equal(executed.sent, true)
        const found = await gateway.lookup(operation)
        assert.equal(found.outcome.kind, table.lookup(read, seen), `lookup: ${status} ${shape}`)
        asked += 2
      }
    }
    assert.equal(requests.length, asked)
  })

  conform('an answer that ends too early is in doubt, and tells nothing', async (made, t) => {
    const { vocabulary: table, at, charge } = made
    const operation = { ...charge, gatewayRef: made.ref }
    const whole = http(200, table.body(table.words.success, operation), table.headers?.(operation))
    let length = 0
    const { url } = await peer(t, (socket) => void socket.end(whole.slice(0, length)))
    const gateway = at(url)
    const head = whole.indexOf('\r\n\r\n')
    for (length of [0, 1, 12, head, head + 4, head + 5, whole.length - 1]) {
      const executed = await gateway.execute(operation)
      assert.deepEqual([executed.outcome.kind, executed.sent], ['in_doubt', true], `${length}`)
      assert.equal((await gateway.lookup(operation)).outcome.kind, 'no_answer')
    }
    length = whole.length
    assert.equal((await gateway.execute(operation)).outcome.kind, 'success')
  })
}

/** Both ends of every range of statuses that mean the same. */
function edges(table: Vocabulary): number[] {
  const row = (status: number) =>
    table.shapes.map((shape) => `${table.charge(status, shape)} ${table.lookup(status, shape)}`)
  const rows = new Map(STATUSES.map((status) => [status, row(status).join()]))
  const isEdge = (status: number) =>
    rows.get(status - 1) !== rows.get(status) || rows.get(status + 1) !== rows.get(status)
  // HTTP has a meaning of its own for these.
  return STATUSES.filter((status) => isEdge(status) || [101, 204, 205, 304].includes(status))
}

/** The status of an answer; null: HTTP has no whole answer with it. */
function readable(status: number): number | null {
  return status < 200 ? null : status
}

/** HTTP has no body with these. */
function bodiless(status: number): boolean {
  return status === 204 || status === 304
}
