import assert from 'node:assert/strict'
import { test } from 'node:test'
import { columns } from '../src/domain/array-parameters.ts'

interface Row {
  readonly id: bigint
  readonly status: 'failed' | 'success'
  readonly attempts: number
  readonly lastError: string | null
  readonly user: bigint | null
  readonly late: boolean
}

const ROWS: readonly Row[] = [
  { id: 2n, status: 'failed', attempts: 3, lastError: 'a "b", {c}', user: null, late: true },
  { id: 9n, status: 'success', attempts: 1, lastError: null, user: 7n, late: false },
]

test('text and values of rows have the order of one declaration', () => {
  const { unnest, of } = columns<Row>({
    lastError: 'text',
    id: 'bigint',
    status: 'word',
    late: 'boolean',
    user: 'bigint',
  })
  assert.equal(
    unnest('input', 3),
    'unnest($3::text[], $4::bigint[], $5::text[], $6::boolean[], $7::bigint[]) ' +
      'as input ("last_error", "id", "status", "late", "user")',
  )
  assert.deepEqual(of(ROWS), [
    ['a "b", {c}', null],
    '{2,9}',
    '{failed,success}',
    '{true,false}',
    '{null,7}',
  ])
  assert.deepEqual(of([]), ['{}', '{}', '{}', '{}', '{}'])
})

test('a field is never sent as what it is not', () => {
  // Each of these is refused by the compiler, or the comment is.
  // @ts-expect-error A text needs quotes: only a union of words does not.
  columns<Row>({ lastError: 'word' })
  // @ts-expect-error A number is no text.
  columns<Row>({ attempts: 'text' })
  // @ts-expect-error A word is no number.
  columns<Row>({ status: 'bigint' })
  // @ts-expect-error Nobody has this field.
  columns<Row>({ unheard: 'text' })
  assert.ok(true)
})
