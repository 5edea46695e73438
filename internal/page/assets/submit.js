// The answer goes on to the app by itself; without script its button sends it.
// A field that is called submit must not get in the way.
HTMLFormElement.prototype.submit.call(document.getElementById('answer'));
