import type { Field } from './dialog.tsx'
import { words } from '../words/words.ts'

/** Why something is done, which is kept in the record. */
export function reasonField(): Field {
  const { reason, reasonHint } = words.value
  return { name: 'reason', label: reason, hint: reasonHint }
}

/** Asked once the API has said with `code` that the evidence speaks against it. */
export function insistField(code: string): Field {
  return { name: 'insist', label: words.value.insist, kind: 'box', after: code }
}

/** What the box says to the API. */
export function insisted(insist: string | undefined): { readonly against_evidence?: true } {
  return insist === 'yes' ? { against_evidence: true } : {}
}
