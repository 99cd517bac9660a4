import type { Noted } from '../domain/acceptance.ts'
import { columns, numbers } from '../domain/array-parameters.ts'
import type { Details } from '../domain/details.ts'
import type { BookedType } from '../domain/payment.ts'
import type { SentFields } from '../domain/sent-fields.ts'
import { writeJson } from '../domain/exact-json.ts'
import type { Runner, Statement, Tx } from '../ports.ts'

interface NotedRow extends Omit<Details, 'metadata'> {
  readonly id: bigint
  readonly userId: bigint
  readonly live: boolean
  readonly metadata: string | null
  readonly sent: string
}

const NOTED = columns<NotedRow>({
  id: 'bigint',
  userId: 'bigint',
  live: 'boolean',
  reference: 'text',
  description: 'text',
  metadata: 'text',
  paymentMethod: 'text',
  returnUrl: 'text',
  sent: 'text',
})

/**
 * Write what was said about payments, in the transaction that accepts them and only where something
 * was said. The users are locked, so nobody else takes a reference meanwhile.
 */
const WRITE: Statement<never> = {
  name: 'payment_details_write',
  text: `
  with noted as materialized (
    select *
    from ${NOTED.unnest('noted', 2)}
  ), kept as (
    insert into payment_details
      (shard, payment_id, reference, description, metadata, payment_method, return_url, sent)
    select
      $1::int, id, reference, description, metadata::jsonb, payment_method, return_url, sent::jsonb
    from noted
  )
  insert into payment_references (shard, user_id, reference, payment_id)
  select $1::int, user_id, reference, id
  from noted
  where live and reference is not null`,
}

interface Sent {
  readonly paymentId: bigint
  readonly sent: SentFields
}

/** The fields of payments as they were first sent. Nobody ever changes them. */
const SENT: Statement<Sent> = {
  name: 'payment_details_sent',
  text: `
  select payment_id as "paymentId", sent
  from payment_details
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

interface Referenced {
  readonly userId: bigint
  readonly reference: string
}

const REFERENCES = columns<Referenced>({ userId: 'bigint', reference: 'text' })

/** Which payments have these references, of those that did not fail. The users are locked. */
const BY_REFERENCES: Statement<Referenced & { paymentId: bigint }> = {
  name: 'payment_references_read',
  text: `
  select taken.user_id as "userId", taken.reference, taken.payment_id as "paymentId"
  from ${REFERENCES.unnest('wanted', 2)}
  cross join lateral (
    select user_id, reference, payment_id
    from payment_references
    where shard = $1 and user_id = wanted.user_id and reference = wanted.reference
    limit 1
  ) taken`,
}

/** Give up the references of payments that failed. */
const LEAVE: Statement<never> = {
  name: 'payment_references_leave',
  text: `
  delete from payment_references
  where shard = $1 and payment_id = any ($2::bigint[])`,
}

/**
 * The payments that others repeat, up to the first one, whose details they all have. The limit of
 * one keeps the planner from reading all payments for a join.
 */
const CHAIN = `
  with recursive chain (payment_id, first_id, repeats) as (
    select id, id, redrive_of
    from payments
    where shard = $1 and id = any ($2::bigint[])
    union all
    select chain.payment_id, before.id, before.redrive_of
    from chain
    cross join lateral (
      select id, redrive_of
      from payments
      where shard = $1 and id = chain.repeats
      limit 1
    ) before
  )`

interface DetailsRow extends Details {
  readonly paymentId: bigint
}

const SAID = `said.reference, said.description, said.metadata,
    said.payment_method as "paymentMethod", said.return_url as "returnUrl"`

/** What was said about payments, as it is now. */
const READ: Statement<DetailsRow> = {
  name: 'payment_details_read',
  text: `${CHAIN}
  select
    chain.payment_id as "paymentId", ${SAID}
  from chain
  cross join lateral (
    select *
    from payment_details
    where shard = $1 and payment_id = chain.first_id
    limit 1
  ) said`,
}

/** The same of payments that repeat none: the payments themselves are not read for it. */
const READ_FIRST: Statement<DetailsRow> = {
  name: 'payment_details_read_first',
  text: `
  select
    said.payment_id as "paymentId", ${SAID}
  from payment_details said
  where said.shard = $1 and said.payment_id = any ($2::bigint[])`,
}

/** The texts of a payment that may be changed, and the payment that has them. */
interface Texts {
  readonly firstId: bigint
  readonly type: BookedType
  readonly description: string | null
  readonly metadata: Readonly<Record<string, string>> | null
}

/** The first of the payments that one repeats. */
const FIRST: Statement<Pick<Texts, 'firstId' | 'type'>> = {
  name: 'payments_first',
  text: `${CHAIN}
  select first_id as "firstId", payment.type
  from chain
  cross join lateral (
    select type
    from payments
    where shard = $1 and id = chain.first_id
    limit 1
  ) payment
  where repeats is null`,
}

/**
 * Lock the texts of a payment, so that two who change them come one after the other, and read what
 * the last one left. Their row is written where nothing was said so far: the row of the payment
 * itself is locked by whoever moves its money, and a change of texts waits for none of them.
 */
const LOCK: Statement<Omit<Texts, 'firstId' | 'type'>> = {
  name: 'payment_details_lock',
  text: `
  insert into payment_details (shard, payment_id, sent)
  values ($1::int, $2::bigint, '{}')
  on conflict (shard, payment_id) do update
  set sent = payment_details.sent
  returning description, metadata`,
}

/** Change the texts of a payment, which are locked. What was first sent stays as it is. */
const WRITE_TEXTS: Statement<never> = {
  name: 'payment_details_write_texts',
  text: `
  update payment_details
  set description = $3, metadata = $4::jsonb
  where shard = $1 and payment_id = $2`,
}

/** What was said about a payment, beside the amounts that a repeated key is compared with. */
const ERASED = `array[
      'reference', 'description', 'metadata', 'payment_method', 'return_url', 'reason'
    ]`

/**
 * Take away what was said about payments, the hashes of it and their references, and tell about how
 * many of them something was said. The user is locked.
 */
const ERASE: Statement<{ payments: number }> = {
  name: 'payment_details_erase',
  text: `
  with given_up as (
    delete from payment_references
    where shard = $1 and payment_id = any ($2::bigint[])
  ), erased as (
    update payment_details
    set
      reference = null, description = null, metadata = null, payment_method = null,
      return_url = null, sent = sent - ${ERASED}
    where shard = $1 and payment_id = any ($2::bigint[])
      and (coalesce(reference, description, payment_method, return_url) is not null
        or metadata is not null or sent ?| ${ERASED})
    returning payment_id
  )
  select count(*)::int as payments
  from erased`,
}

/** A reference that a failed payment had, and which payment has it now; null: none. */
export interface Left extends Referenced {
  readonly paymentId: bigint
  readonly takenBy: bigint | null
}

/** The references of payments that failed, by those they repeat. The users are locked. */
const LEFT: Statement<Left> = {
  name: 'payment_references_left',
  text: `${CHAIN}
  select
    chain.payment_id as "paymentId", payment.user_id as "userId", said.reference,
    (
      select payment_id
      from payment_references
      where shard = $1 and user_id = payment.user_id and reference = said.reference
    ) as "takenBy"
  from chain
  cross join lateral (
    select reference
    from payment_details
    where shard = $1 and payment_id = chain.first_id and reference is not null
    limit 1
  ) said
  cross join lateral (
    select user_id
    from payments
    where shard = $1 and id = chain.payment_id
    limit 1
  ) payment`,
}

const TAKEN = columns<Referenced & { readonly paymentId: bigint }>({
  userId: 'bigint',
  reference: 'text',
  paymentId: 'bigint',
})

/** Give references to payments that repeat failed ones. */
const TAKE: Statement<never> = {
  name: 'payment_references_take',
  text: `
  insert into payment_references (shard, user_id, reference, payment_id)
  select $1::int, user_id, reference, payment_id
  from ${TAKEN.unnest('taken', 2)}`,
}

/** Write what was said about payments; nothing where nothing was. */
export function writeNoted(tx: Tx, noted: readonly Noted[]): void {
  if (noted.length === 0) return
  const rows = noted.map(({ id, userId, live, details, sent }) => {
    const metadata = details.metadata === null ? null : writeJson(details.metadata)
    return { ...details, id, userId, live, metadata, sent: writeJson(sent) }
  })
  tx.write(WRITE, NOTED.of(rows))
}

/** The fields of payments as they were first sent, by payment; not of those without any. */
export async function sentOf(tx: Runner, ids: readonly bigint[]): Promise<Map<bigint, SentFields>> {
  if (ids.length === 0) return new Map()
  const rows = await tx.run(SENT, [numbers(ids)])
  return new Map(rows.map(({ paymentId, sent }) => [paymentId, sent]))
}

/** The payments of these users that have these references and did not fail. */
export async function paymentsByReferences(
  tx: Runner,
  wanted: readonly Referenced[],
): Promise<(Referenced & { paymentId: bigint })[]> {
  return wanted.length === 0 ? [] : tx.run(BY_REFERENCES, REFERENCES.of(wanted))
}

/** Lock the texts of a payment until the transaction ends; null: there is no such payment. */
export async function lockTexts(tx: Tx, id: bigint): Promise<Texts | null> {
  const [first] = await tx.run(FIRST, [numbers([id])])
  if (first === undefined) return null
  const [texts] = await tx.run(LOCK, [first.firstId])
  return { description: null, metadata: null, ...texts, ...first }
}

/** Change the texts of a payment. */
export function writeTexts(tx: Tx, { firstId, description, metadata }: Omit<Texts, 'type'>): void {
  const document = metadata === null ? null : writeJson(metadata)
  tx.write(WRITE_TEXTS, [firstId, description, document])
}

/** Give up the references of payments that failed, so that others may have them. */
export function leaveReferences(tx: Tx, ids: readonly bigint[]): void {
  if (ids.length > 0) tx.write(LEAVE, [numbers(ids)])
}

/** The references that failed payments had, by payment; not of those without. */
export async function referencesLeft(
  tx: Runner,
  ids: readonly bigint[],
): Promise<Map<bigint, Left>> {
  if (ids.length === 0) return new Map()
  const rows = await tx.run(LEFT, [numbers(ids)])
  return new Map(rows.map((row) => [row.paymentId, row]))
}

/** Give references to payments that repeat failed ones. */
export function takeReferences(
  tx: Tx,
  taken: readonly (Referenced & { readonly paymentId: bigint })[],
): void {
  if (taken.length > 0) tx.write(TAKE, TAKEN.of(taken))
}

/** What was said about payments, by payment; not of those about which nothing was. */
export async function detailsOf(
  shard: Runner,
  ids: readonly bigint[],
): Promise<Map<bigint, Details>> {
  if (ids.length === 0) return new Map()
  const rows = await shard.run(READ, [numbers(ids)])
  return new Map(rows.map(({ paymentId, ...details }) => [paymentId, details]))
}

/** The same of payments that repeat none; of others, nothing. */
export async function detailsOfFirst(
  shard: Runner,
  ids: readonly bigint[],
): Promise<Map<bigint, Details>> {
  const rows = await shard.run(READ_FIRST, [numbers(ids)])
  return new Map(rows.map(({ paymentId, ...details }) => [paymentId, details]))
}

/** Take away what was said about payments of a user that is locked. */
export async function erasePayments(tx: Tx, ids: readonly bigint[]): Promise<number> {
  const [row] = ids.length === 0 ? [] : await tx.run(ERASE, [numbers(ids)])
  return row?.payments ?? 0
}
