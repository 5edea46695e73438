// Comfort for forms. Every form works without it.

// A password can be shown, to be checked before it is sent.
for (const button of document.querySelectorAll('button[data-reveal]')) {
  const input = document.getElementById(button.dataset.reveal);
  const show = (on) => {
    input.type = on ? 'text' : 'password';
    button.textContent = on ? button.dataset.hide : button.dataset.show;
  };
  button.hidden = false;
  button.addEventListener('click', () => {
    show(input.type === 'password');
    input.focus();
  });
  // What is sent is a password again, so that no browser remembers it as text.
  input.form.addEventListener('submit', () => show(false));
}

// A form is sent once, however often its button is pressed. A page that comes
// back from the history is fresh again.
const sent = new WeakSet();
for (const form of document.forms) {
  form.addEventListener('submit', (event) => {
    if (event.submitter?.formMethod === 'dialog') return; // sends nothing
    if (sent.has(form)) {
      event.preventDefault();
      return;
    }
    sent.add(form);
    form.setAttribute('aria-busy', 'true');
  });
}
addEventListener('pageshow', () => {
  for (const form of document.forms) {
    sent.delete(form);
    form.removeAttribute('aria-busy');
  }
});
