import type { EN_SCREENS } from './en-screens.ts'

/** What the console says on the other screens, in Russian. */
export const RU_SCREENS: typeof EN_SCREENS = {
  nothingFound: 'Ничего не подходит.',
  nothingFoundLead: 'Номер, ключ и пользователь должны совпасть целиком.',
  showAll: 'Показать все платежи',
  noPayments: 'Платежей пока нет.',
  noPaymentsLead: 'Откройте пользователя, затем сделайте первое пополнение. Оно появится само.',
}
