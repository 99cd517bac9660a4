import type { Answer } from '../../app/api.ts'
import type { Field } from '../../parts/dialog.tsx'
import { words } from '../../words/words.ts'

/** Why something is done, which is kept in the record. */
export function reasonField(): Field {
  const { reason, reasonHint } = words.value
  return { name: 'reason', label: reason, hint: reasonHint }
}

/** What the console itself refuses, in the form of what the API refuses. */
export function refusedHere(detail: string): Answer<never> {
  const { refused: title } = words.value
  return { kind: 'refused', problem: { status: 422, code: '', title, detail } }
}
