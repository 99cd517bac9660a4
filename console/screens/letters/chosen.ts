import { send, type Answer } from '../../app/api.ts'
import type { DeadLetter } from '../../app/shapes.ts'
import { groupBy } from '../../exact/group.ts'
import { sumOf } from '../../exact/money.ts'
import { ask } from '../../parts/dialog.tsx'
import { money, words } from '../../words/words.ts'

/** Redrive the letters that were picked, one after the other. */
export function askRedriveChosen(letters: readonly DeadLetter[], done: () => void): void {
  const w = words.value
  ask({
    title: w.redriveChosen(letters.length),
    says: w.redriveChosenSays(letters.length, sumsOf(letters)),
    fields: [{ name: 'reason', label: w.reason, hint: w.reasonHint }],
    verb: w.redrive,
    done,
    async run({ reason = '' }, key) {
      let last: Answer<unknown> = { kind: 'ok', data: null, etag: null }
      for (const { id } of letters) {
        last = await send('POST', `/dlq/${id}/redrive`, { reason }, `${key}-${id}`)
        if (last.kind !== 'ok') return last
      }
      return last
    },
  })
}

function sumsOf(letters: readonly DeadLetter[]): string {
  const currencies = groupBy(letters, ({ currency }) => currency)
  return [...currencies]
    .map(([currency, those]) => {
      const amounts = those.map(({ amount }) => amount)
      return `${money(sumOf(amounts, currency), currency)} ${currency}`
    })
    .join(', ')
}
