import { createHash } from 'node:crypto'

/**
 * The fields of a request as they were first sent, each as a hash by its name; a field that was not
 * sent is not in it. What is shown of a payment may be changed later; what a repeated key is
 * compared with may not.
 */
export type SentFields = Readonly<Record<string, string>>

/** What may be sent: a text, or a flat object of texts. */
type SentValue = string | Readonly<Record<string, string>>

/** So many bytes of a hash: enough that no two texts of a user ever agree by chance. */
const BYTES = 12

/** Hash each field that was sent. An object is the same in whatever order its members are. */
export function sentFields(fields: Readonly<Record<string, SentValue | null>>): SentFields {
  const given = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [[name, hashOf(value)] as const],
  )
  return Object.fromEntries(given)
}

function hashOf(value: SentValue): string {
  // Lengths keep texts apart: no value can pretend to be two.
  const parts = typeof value === 'string' ? [value] : Object.entries(value).toSorted(byName).flat()
  const hash = createHash('sha256').update(typeof value)
  for (const part of parts) hash.update(`:${Buffer.byteLength(part)}:`).update(part)
  return hash.digest().subarray(0, BYTES).toString('base64url')
}

function byName([one]: readonly [string, string], [other]: readonly [string, string]): number {
  return one < other ? -1 : 1
}

/** The fields in which a repeated request differs from the first one. */
export function differing(
  again: SentFields,
  first: SentFields,
): readonly { readonly field: string; readonly code: 'differs' }[] {
  const names = new Set([...Object.keys(first), ...Object.keys(again)])
  return [...names]
    .toSorted()
    .filter((name) => again[name] !== first[name])
    .map((name) => ({ field: name, code: 'differs' }))
}
