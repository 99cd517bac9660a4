/** What the console says on the other screens. */
export const EN_SCREENS = {
  nothingFound: 'Nothing fits these filters.',
  nothingFoundLead: 'A reference, a key and a user must be whole, letter by letter.',
  showAll: 'Show all payments',
  noPayments: 'No payments yet.',
  noPaymentsLead: 'Open a user, then make the first deposit. It appears here by itself.',
}
