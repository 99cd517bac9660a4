import { send } from '../../app/api.ts'
import type { DeadLetter, Problem } from '../../app/shapes.ts'
import { groupBy } from '../../exact/group.ts'
import { sumOf } from '../../exact/money.ts'
import { refusedHere } from '../../exact/answer.ts'
import { reasonField } from '../../parts/asking.ts'
import { ask } from '../../parts/dialog.tsx'
import { money, refusal, words } from '../../words/words.ts'

/**
 * Redrive the letters that were picked, one after the other, and say of how many it was refused. A
 * second try says the same of those that were redriven, since their keys are the same.
 */
export function askRedriveChosen(letters: readonly DeadLetter[], done: () => void): void {
  const w = words.value
  ask({
    title: w.redriveChosen(letters.length),
    says: w.redriveChosenSays(letters.length, sumsOf(letters)),
    fields: [reasonField()],
    verb: w.redrive,
    done,
    async run({ reason = '' }, key) {
      const refused: Problem[] = []
      for (const { id } of letters) {
        const answer = await send('POST', `/dlq/${id}/redrive`, { reason }, `${key}-${id}`)
        // One that somebody else has dealt with keeps no other waiting.
        if (answer.kind === 'refused' && answer.problem.status < 500) refused.push(answer.problem)
        else if (answer.kind !== 'ok') return answer
      }
      const [first] = refused
      if (first === undefined) return { kind: 'ok', data: null, etag: null }
      const redriven = letters.length - refused.length
      return refusedHere(w.redrivenOf(redriven, letters.length, refusal(first)))
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
