import { must } from './promises.ts'
import type { ActRow, Tables } from './tables.ts'

/** What operators did to a payment. */
export interface Acts {
  /** The word that ended it, if one did. */
  readonly word: ActRow | null
  /** How often it was started over. */
  readonly redriven: number
  readonly canceled: boolean
  /** Its gateway was to be asked to end it. */
  readonly asked: boolean
  /** Its money was booked although it failed. */
  readonly corrected: boolean
  readonly returns: number
}

export const NO_ACTS: Acts = {
  word: null,
  redriven: 0,
  canceled: false,
  asked: false,
  corrected: false,
  returns: 0,
}

export function actsByPayment(tables: Tables): Map<bigint, Acts> {
  const acts = new Map<bigint, Acts>()
  for (const act of tables.acts.rows.values()) {
    const own = acts.get(act.paymentId) ?? NO_ACTS
    const word = act.act === 'resolve' && act.before['payment'] === 'unknown'
    const cancel = act.act === 'cancel'
    const asked = act.after['wanted'] !== undefined
    const again = act.act === 'redrive' && act.after['payment'] === 'new'
    acts.set(act.paymentId, {
      word: word ? act : own.word,
      redriven: own.redriven + (again ? 1 : 0),
      canceled: own.canceled || (cancel && !asked),
      asked: own.asked || (cancel && asked),
      corrected: own.corrected || act.act === 'correct',
      returns: own.returns + (act.act === 'return' ? 1 : 0),
    })
  }
  return acts
}

/** What people end well is looked at, and has the name by which its gateway may speak of it. */
function checkExpectedBack(tables: Tables, act: ActRow): void {
  const payment = tables.payments.get(act.paymentId)
  if (payment === undefined || payment.type === 'refund') return
  const resolved = act.act === 'resolve' && act.before['payment'] === 'unknown'
  const well = resolved && act.after['payment'] === 'success'
  if (!well && act.act !== 'correct') return
  const watched = tables.watches.get(payment.id) !== undefined
  must(watched, 'what people end well is looked at', payment)
  const ref = act.after['gateway_ref'] ?? null
  if (payment.type !== 'deposit' || ref === null) return
  const named = tables.refs.get(`${payment.gateway} ${ref}`) !== undefined
  must(named, 'what people say that a gateway calls a deposit is kept', payment)
}

/** No act goes against what was known when it was committed, unless it says so. */
export function checkNewActs(
  tables: Tables,
  before: { readonly acts: number; readonly yes: ReadonlySet<bigint> },
): void {
  if (tables.acts.rows.size === before.acts) return
  const all = [...tables.acts.rows.values()]
  for (const [index, act] of all.slice(before.acts).entries()) {
    checkExpectedBack(tables, act)
    if (act.after['repeated_by'] !== undefined) {
      checkUncorrected(tables, act, all.slice(0, before.acts + index))
    }
    if (!before.yes.has(act.paymentId)) continue
    const { after } = act
    if (act.before['payment'] !== 'unknown') {
      must(after['repeated_by'] === undefined, 'what was executed is never charged again', act)
      continue
    }
    const insisted = after['against_evidence'] === 'success'
    must(after['payment'] === 'success' || insisted, 'no word goes against a yes unawares', act)
    must(after['payment'] !== 'new', 'nobody is asked about what is known', act)
  }
}

/** What was booked as executed is charged no more, under whichever payment of its chain. */
function checkUncorrected(tables: Tables, act: ActRow, earlier: readonly ActRow[]): void {
  for (let id: bigint | null = act.paymentId; id !== null;) {
    const booked = earlier.some((one) => one.act === 'correct' && one.paymentId === id)
    must(!booked, 'what was corrected is never charged again', act)
    id = tables.payments.get(id)?.redriveOf ?? null
  }
}
